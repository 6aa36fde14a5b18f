"""Which dtypes may serve an adapter: those that answer as fp32 does, shown on a probe set."""

from __future__ import annotations

from pathlib import Path

from app.core import data, textprep
from app.core.release import Base, Engine

PROBE = "demo:reviews#dev"
"""Texts that are neither trained on nor tested on."""
AGREEMENT = 1.0
"""Every label must be the same, ties within TIE of the logits excused."""
TIE = 1e-2


def engines(feature: str, base: Base, folder: Path) -> list[Engine]:
    """fp32 always; bf16 beside it where a classifier gives the same labels on the probe set.

    A chat adapter is served as evaluated, in fp32, until its greedy text has been compared too.
    """
    listed = [Engine(engine="transformers", dtype="float32")]
    if feature != "sentiment":
        return listed
    parity = compare(base, folder, "bfloat16")
    if float(parity["top1_agreement"]) >= AGREEMENT:
        listed.append(Engine(engine="transformers", dtype="bfloat16", parity=parity))
    return listed


def compare(base: Base, folder: Path, dtype: str) -> dict[str, float | int | str]:
    """Agreement of `dtype` with fp32 on PROBE: top1_agreement, max_logit_difference, n, probe."""
    import numpy as np

    from app.models.classifier import load_classifier
    from app.models.references import resolve

    texts = [textprep.prepare(row.text) for row in data.classification(PROBE)]
    weights = resolve(base.ref, sha256=base.sha256)
    exact = load_classifier(weights, folder, "float32").logits(texts)
    other = load_classifier(weights, folder, dtype).logits(texts)
    top = np.sort(exact, axis=1)
    tied = top[:, -1] - top[:, -2] < TIE
    same = (exact.argmax(axis=1) == other.argmax(axis=1)) | tied
    return {
        "top1_agreement": round(float(same.mean()), 4),
        "max_logit_difference": round(float(np.abs(exact - other).max()), 4),
        "n": len(texts),
        "probe": PROBE,
    }
