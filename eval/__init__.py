"""Measures the product as it runs: tasks, metrics, intervals, reports, the gate."""
