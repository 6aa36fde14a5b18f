"""How fast a run's classifier answers and what it holds: python -m finetune.table.serving RUN.

A process of its own, so that its peak memory is that of serving alone. Writes RUN/serving.json:
{"mean_ms", "p95_ms", "peak_bytes", "n", "fp32_flops_per_second"}; one text at a time, in fp32,
prepared as the product does. The last is the machine's rate of matrix products.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

from app.core.errors import guarded
from app.core.files import write_json

FILE = "serving.json"
TEXTS, WARM_UP = 200, 10


def main() -> None:
    """Time the adapter of the run folder that is named."""
    run = Path(sys.argv[1])
    guarded(lambda: write_json(run / FILE, measure(run)))


def measure(run: Path) -> dict[str, Any]:
    """Milliseconds for a text of the run's dev data, over TEXTS of them."""
    import numpy as np

    from app.core.textprep import prepare
    from app.models.adapters import read_card
    from app.models.classifier import load_classifier
    from app.models.dtype import matmul_rate
    from app.models.references import resolve

    card = read_card(run / "adapter")
    model = load_classifier(resolve(card.base.ref, sha256=card.base.sha256), run / "adapter")
    taken = []
    for text in _texts(run):
        began = time.perf_counter()
        model.logits([prepare(text)])
        taken.append(1000 * (time.perf_counter() - began))
    counted = taken[WARM_UP:] or taken
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "mean_ms": round(float(np.mean(counted)), 3),
        "p95_ms": round(float(np.percentile(counted, 95)), 3),
        "peak_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "n": len(counted),
        "fp32_flops_per_second": round(matmul_rate("float32")),
    }


def _texts(run: Path) -> list[str]:
    from app.core.config import load
    from app.core.data import classification
    from finetune.config import TrainConfig

    config = load(TrainConfig, run / "config.yaml")
    rows = [row for ref in config.data.dev for row in classification(ref, config.data.columns)]
    return [row.text for row in rows[: TEXTS + WARM_UP]]


if __name__ == "__main__":
    main()
