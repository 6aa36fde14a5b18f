"""The doctor on the data of every shipped config; a file of its own, as it takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.config import load
from app.core.files import ROOT
from finetune.config import TrainConfig
from finetune.doctor import Diagnosis, examine

CONFIGS = sorted((ROOT / "finetune" / "configs").glob("*.yaml"))
OF_THE_SHOP = ("feedback-sentiment", "feedback-support", "preference")
pytestmark = [pytest.mark.slow, pytest.mark.realdata]


def examined(path: Path) -> Diagnosis:
    return examine(load(TrainConfig, path))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_shipped_config_is_stopped_by_the_doctor(path: Path) -> None:
    """In the data of the demo shop alone not even a warning is found."""
    grave = ("error", "warning") if path.stem in OF_THE_SHOP else ("error",)
    assert examined(path).of(*grave) == []
