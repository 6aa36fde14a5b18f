"""pii_recall, pii_precision: whether redaction takes out personal data, and nothing else.

Counted in spans over the whole set (micro), for the types that redaction promises. Recall: a marked
span is found where every character of it is replaced, under whatever type; half a phone number left
is a leak. Precision: a replaced piece is right where it touches a marked span of its own type.
Edge cases: nothing marked: no recall; nothing replaced: precision 0.0; a failure finds nothing and
replaces one wrong piece. Names and addresses are not promised: their spans count in neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core.redact import Span
from eval.metrics.base import Context, Metric, columns, ratio
from eval.samples import Row
from eval.stats import Units

_found = columns("pii_found", "pii_marked")


def counts(marked: Sequence[Span], replaced: Sequence[Span]) -> dict[str, float]:
    """Of one text: spans marked, found whole, replaced, and replaced rightly."""
    return {
        "pii_marked": len(marked),
        "pii_found": sum(_covered(span, replaced) for span in marked),
        "pii_replaced": len(replaced),
        "pii_right": sum(any(_touch(span, m) for m in marked) for span in replaced),
    }


def _covered(span: Span, replaced: Sequence[Span]) -> bool:
    taken = {at for r in replaced for at in range(r.start, r.end)}
    return taken.issuperset(range(span.start, span.end))


def _touch(span: Span, marked: Span) -> bool:
    return span.type == marked.type and span.start < marked.end and marked.start < span.end


def _marked(rows: Sequence[Row], context: Context) -> Units:
    units = _found(rows, context)
    return units[units[:, 1] > 0]


RECALL = Metric("pii_recall", __name__, _marked, ratio)
PRECISION = Metric("pii_precision", __name__, columns("pii_right", "pii_replaced"), ratio)
