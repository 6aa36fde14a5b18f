"""Synthetic data of the invented demo shop, and the code that makes it."""
