"""The table of methods that this project measures itself: a queue of runs, and what they gave."""
