"""coverage: the share of the catalogue that is among somebody's first ten.

Its rows are items, not users: n is the size of the catalogue, and the interval says how sure the
share would be for a catalogue of which these items are a sample. Edge cases: nobody gets anything:
0.0; a recommended item outside the catalogue is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from eval.metrics.base import Context, Metric
from eval.samples import Row
from eval.stats import Units

TOP = 10


def shown(lists: Iterable[Sequence[str]], catalogue: Sequence[str]) -> Units:
    """(items, 1): 1 where an item of the catalogue is among the first ten of any list."""
    seen = {item for ranked in lists for item in ranked[:TOP]}
    return np.array([[item in seen] for item in catalogue], dtype=np.float64).reshape(-1, 1)


def _units(rows: Sequence[Row], context: Context) -> Units:
    return shown((row.prediction["items"] for row in rows), context["catalogue"])


METRIC = Metric("coverage", __name__, _units, by_sample=False)
