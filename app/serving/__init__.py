"""What app.services is made of: loading and swapping, turns, quotas, metrics. Just below it."""
