"""pass^k: the share of scenarios that would go well k times out of k.

Of a scenario's n runs c passed; the chance that k of them drawn without repeating all passed is
C(c, k) / C(n, k), which estimates p ** k without bias (Yao et al. 2024, tau-bench). Its rows are
scenarios, not runs: runs of one scenario belong together, so the interval draws whole scenarios.
Edge cases: c < k: 0.0; a scenario with fewer than k runs (--limit) has no row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from eval.metrics.base import Context, Metric, Read
from eval.samples import Row
from eval.stats import Units

SCORE = "pass^1"
"""Of one run: 1 where it passed."""


def pass_k(passed: int, runs: int, k: int) -> float:
    """C(passed, k) / C(runs, k). runs >= k >= 1."""
    return math.comb(passed, k) / math.comb(runs, k)


def scenario_of(run: str) -> str:
    """The scenario that a run's id (`name#seed`) names."""
    return run.rpartition("#")[0]


def runs(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The runs of each scenario, in the order of the rows."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(scenario_of(row.id), []).append(row)
    return found


def _reading(k: int) -> Read:
    def units(rows: Sequence[Row], context: Context) -> Units:  # noqa: ARG001
        groups = [group for group in runs(rows).values() if len(group) >= k]
        values = [pass_k(sum(r.scores[SCORE] == 1 for r in g), len(g), k) for g in groups]
        return np.array(values, dtype=np.float64).reshape(len(values), 1)

    return units


def metric(k: int) -> Metric:
    """The metric pass^k."""
    return Metric(f"pass^{k}", __name__, _reading(k))
