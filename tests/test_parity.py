"""A dtype may serve an adapter only where it answers as fp32 does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core import release as releases
from app.core.files import RELEASES
from app.core.release import Base, Engine
from deploy import parity
from deploy.chat_parity import Unequal

BASE = Base(ref="org/base", source="folder", file="model.safetensors", sha256="b" * 64)


class Fake:
    """A classifier whose logits a test sets."""

    def __init__(self, logits: Any) -> None:
        self._logits = np.asarray(logits, dtype=np.float32)

    def logits(self, texts: list[str]) -> Any:
        """The same rows again and again, one a text."""
        return np.resize(self._logits, (len(texts), 2))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Logits by dtype, in place of real weights."""
    logits: dict[str, Any] = {"float32": [[1.0, 3.0], [2.0, 0.0]]}
    monkeypatch.setattr("app.models.references.resolve", lambda *_, **__: None)
    monkeypatch.setattr(
        "app.models.classifier.load_classifier", lambda _w, _f, dtype: Fake(logits[dtype])
    )
    return logits


def test_a_dtype_with_the_same_labels_is_listed_with_its_record(served: dict[str, Any]) -> None:
    served["bfloat16"] = [[1.01, 2.98], [2.0, 0.01]]
    listed = parity.engines("sentiment", "model", BASE, Path())
    assert [engine.dtype for engine in listed] == ["float32", "bfloat16"]
    assert listed[1].parity["top1_agreement"] == 1.0
    assert listed[1].parity["max_logit_difference"] == pytest.approx(0.02, abs=1e-3)


def test_a_dtype_that_says_another_label_is_not_listed(served: dict[str, Any]) -> None:
    served["bfloat16"] = [[1.0, 3.0], [0.9, 1.0]]
    assert [e.dtype for e in parity.engines("sentiment", "model", BASE, Path())] == ["float32"]


def test_a_tie_may_fall_either_way(served: dict[str, Any]) -> None:
    served["float32"] = [[1.0, 1.005], [2.0, 0.0]]
    served["bfloat16"] = [[1.005, 1.0], [2.0, 0.0]]
    assert len(parity.engines("sentiment", "model", BASE, Path())) == 2


def test_a_chat_is_served_as_evaluated_and_by_what_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = Engine(engine="openvino", dtype="float32", parity={"top1_agreement": 1.0})
    monkeypatch.setattr("app.models.openvino_chat.installed", lambda: True)
    monkeypatch.setattr("deploy.export.source_of", lambda folder: folder)
    monkeypatch.setattr("deploy.export.write_checked", lambda *_: [pair])
    listed = parity.engines("support", "model", BASE, Path())
    assert [(e.engine, e.dtype) for e in listed] == [
        ("transformers", "float32"), ("openvino", "float32"),
    ]  # fmt: skip


@pytest.mark.parametrize("why", ["not installed", "says otherwise"])
def test_a_chat_whose_engine_says_otherwise_is_served_as_evaluated_alone(
    why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unequal(*_: object) -> list[Engine]:
        raise Unequal("found 12 % of the tokens")

    monkeypatch.setattr("app.models.openvino_chat.installed", lambda: why == "says otherwise")
    monkeypatch.setattr("deploy.export.source_of", lambda folder: folder)
    monkeypatch.setattr("deploy.export.write_checked", unequal)
    assert [e.dtype for e in parity.engines("support", "model", BASE, Path())] == ["float32"]
    assert ("found 12 %" in caplog.text) == (why == "says otherwise")


@pytest.mark.slow
def test_the_released_adapter_lists_what_parity_finds_now() -> None:
    folder = RELEASES / "sentiment"
    release = releases.read(folder)
    found = parity.engines("sentiment", "model", release.base, folder)
    assert [engine.dtype for engine in release.engines][:1] == ["float32"]
    assert {engine.dtype for engine in release.engines} <= {engine.dtype for engine in found}
