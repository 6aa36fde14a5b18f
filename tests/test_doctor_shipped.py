"""The doctor on the data of every shipped config; a file of its own, as it takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.config import load
from app.core.files import ROOT
from finetune.config import TrainConfig
from finetune.doctor import examine

CONFIGS = sorted((ROOT / "finetune" / "configs").glob("*.yaml"))
OF_THE_SHOP = ("feedback-sentiment", "feedback-support", "preference")
pytestmark = [pytest.mark.slow, pytest.mark.realdata]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_shipped_config_is_stopped_by_the_doctor(path: Path) -> None:
    """In the data of the demo shop alone not even a warning is found; errors need no encoder."""
    ours = path.stem in OF_THE_SHOP
    found = examine(load(TrainConfig, path), quick=not ours)
    assert found.of(*(("error", "warning") if ours else ("error",))) == []
