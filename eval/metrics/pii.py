"""pii_recall, named_recall, pii_precision: whether redaction takes out personal data, and no more.

Counted in spans over the whole set (micro), for the types that have a form. Recall: a marked span
is found where every character of it is replaced, under whatever type; half a phone number left is a
leak. Names and postal addresses, which are found where their surroundings tell them, have a recall
of their own, in characters: where one ends is a matter of opinion. Precision: a replaced piece is
right where it touches a marked span of its own type. Edge cases: nothing marked: no recall; nothing
replaced: precision 0.0; a failure finds nothing and replaces one wrong piece.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core.redact import BY_CONTEXT, Span
from eval.metrics.base import Context, Metric, columns, ratio
from eval.samples import Row
from eval.stats import Units

_found = columns("pii_found", "pii_marked")
_named = columns("named_found", "named_marked")


def counts(marked: Sequence[Span], replaced: Sequence[Span]) -> dict[str, float]:
    """Of one text: spans marked, found whole, replaced, and replaced rightly; and characters of
    names and postal addresses, marked and replaced."""
    taken = {at for r in replaced for at in range(r.start, r.end)}
    named = {at for m in marked if m.type in BY_CONTEXT for at in range(m.start, m.end)}
    formed = [set(range(m.start, m.end)) for m in marked if m.type not in BY_CONTEXT]
    return {
        "pii_marked": len(formed),
        "pii_found": sum(places <= taken for places in formed),
        "named_marked": len(named),
        "named_found": len(named & taken),
        "pii_replaced": len(replaced),
        "pii_right": sum(any(_touch(span, m) for m in marked) for span in replaced),
    }


def _touch(span: Span, marked: Span) -> bool:
    return span.type == marked.type and span.start < marked.end and marked.start < span.end


def _marked(rows: Sequence[Row], context: Context) -> Units:
    units = _found(rows, context)
    return units[units[:, 1] > 0]


def _marked_names(rows: Sequence[Row], context: Context) -> Units:
    units = _named(rows, context)
    return units[units[:, 1] > 0]


RECALL = Metric("pii_recall", __name__, _marked, ratio)
NAMED = Metric("named_recall", __name__, _marked_names, ratio)
PRECISION = Metric("pii_precision", __name__, columns("pii_right", "pii_replaced"), ratio)
