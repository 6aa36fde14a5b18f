"""curves.png: what is read from a log, and that the picture shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune.curves import dev_metrics, draw, points, smoothed

LOG: list[dict[str, Any]] = [
    {"step": 1, "loss": 0.9, "learning_rate": 1e-3},
    {"step": 2, "loss": 0.5, "learning_rate": 5e-4},
    {"step": 2, "eval_loss": 0.7, "eval_accuracy": 0.6, "eval_runtime": 3.0,
     "eval_samples_per_second": 9.0},
    {"step": 2, "eval_loss": 0.65, "eval_accuracy": 0.7},
]  # fmt: skip


def pixels(path: Path) -> Any:
    from matplotlib.image import imread

    return imread(path)


def test_points_are_the_last_value_of_each_step() -> None:
    assert points(LOG, "loss") == [(1, 0.9), (2, 0.5)]
    assert points(LOG, "eval_loss") == [(2, 0.65)]


def test_dev_metrics_are_neither_the_loss_nor_the_clock() -> None:
    assert dev_metrics(LOG) == ["eval_accuracy"]


def test_smoothing_has_no_pull_to_zero_and_follows() -> None:
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    assert smoothed([0.0, 1.0], keep=0.5) == pytest.approx([0.0, 2 / 3])  # 0.5 of 0.75


def test_the_picture_has_a_panel_more_where_dev_was_looked_at(tmp_path: Path) -> None:
    assert draw(LOG, tmp_path / "with.png")
    assert draw(LOG[:2], tmp_path / "without.png")
    with_dev, without = pixels(tmp_path / "with.png"), pixels(tmp_path / "without.png")
    assert with_dev.shape[0] == pytest.approx(1.5 * without.shape[0], rel=0.01)
    assert with_dev.std() > 0.01  # something is drawn


def test_another_log_is_another_picture(tmp_path: Path) -> None:
    draw(LOG, tmp_path / "a.png")
    draw([LOG[0] | {"loss": 5.0}, *LOG[1:]], tmp_path / "b.png")
    draw(LOG, tmp_path / "c.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "c.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_without_a_loss_nothing_is_drawn(tmp_path: Path) -> None:
    assert not draw([{"step": 1, "eval_loss": 0.3}], tmp_path / "no.png")
    assert not list(tmp_path.iterdir())
