"""One metric a file: its formula, its edge cases, and the `Metric` that reports name."""
