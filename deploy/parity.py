"""Which engines and dtypes may serve an adapter: those that answer as fp32 does on a probe set."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from app.core import data, textprep
from app.core.errors import AppError
from app.core.release import Base, Engine

log = logging.getLogger(__name__)

PROBE = "demo:reviews#dev"
"""Texts that are neither trained on nor tested on."""
AGREEMENT = 1.0
"""Every label must be the same, ties within TIE of the logits excused."""
TIE = 1e-2


def engines(feature: str, mode: str, base: Base, folder: Path) -> list[Engine]:
    """fp32 always; what gives the same labels, or says the same, on a probe set beside it.

    A classifier may have bf16 beside it, a chat OpenVINO, where that is installed; a reader has
    neither.
    """
    listed = [Engine(engine="transformers", dtype="float32")]
    if feature == "support" and mode == "model":
        return [*listed, *merged(folder)]
    if feature != "sentiment":
        return listed
    parity = compare(base, folder, "bfloat16")
    if float(parity["top1_agreement"]) >= AGREEMENT:
        listed.append(Engine(engine="transformers", dtype="bfloat16", parity=parity))
    return listed


def merged(folder: Path) -> list[Engine]:
    """OpenVINO's pairs that say what the chat adapter in `folder` says, from its merged GGUF.

    None where OpenVINO is not installed, the architecture has no GGUF, or parity fails: each is
    logged, and the release is served as it was evaluated.
    """
    from app.models import openvino_chat
    from deploy.export import FILE, source_of, write_checked

    if not openvino_chat.installed():
        return []
    try:
        with tempfile.TemporaryDirectory(prefix="frontdesk-parity-") as place:
            return write_checked(source_of(str(folder)), Path(place) / FILE)
    except (AppError, RuntimeError) as error:
        log.warning("OpenVINO is not listed: %s", error)
        return []


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
