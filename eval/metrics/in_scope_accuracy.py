"""in_scope_accuracy: the share of in-scope texts whose likeliest intent is the right one.

The threshold for out-of-scope plays no part: what it costs in scope is bounded by the false alarms
at which oos_recall is read. Edge cases: a failure is wrong; out-of-scope texts have no row.
"""

from __future__ import annotations

from eval.metrics.base import Metric, columns

METRIC = Metric("in_scope_accuracy", __name__, columns("in_scope_accuracy"))
