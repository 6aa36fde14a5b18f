"""The probe of the machine, and the choice among the pairs that a release lists."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.core.release import Engine
from app.models import dtype

BF16 = Engine(engine="transformers", dtype="bfloat16", parity={"max_logit_error": 0.01})
FAST_BF16 = {"float32": 2.0, "bfloat16": 1.0}
SLOW_BF16 = {"float32": 1.0, "bfloat16": 200.0}


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(dtype, "probe", dtype.probe.__wrapped__)  # without its memory in RAM


def measured(monkeypatch: pytest.MonkeyPatch, encode: dict[str, float], decode: dict[str, float]):
    """Have the probe find these seconds; returns the list of shapes that it measured."""
    asked: list[tuple[int, int, int]] = []

    def measure(*shape: int) -> dict[str, float]:
        asked.append(shape)  # type: ignore[arg-type]
        return decode if shape[0] == 1 else encode

    monkeypatch.setattr(dtype, "_measure", measure)
    return asked


def test_the_fastest_listed_pair_is_chosen_by_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, encode=FAST_BF16, decode=SLOW_BF16)
    assert dtype.choose([BF16], "encode") == "bfloat16"
    assert dtype.choose([BF16], "decode") == "float32"


@pytest.mark.parametrize(
    ("reading", "writing", "chosen"),
    [
        # bf16 writes in half the time, and reads: at 8 to 1 (2 + 8 x 1) against (1 + 8 x r)
        ({"float32": 1.0, "bfloat16": 1.1}, {"float32": 2.0, "bfloat16": 1.0}, "bfloat16"),
        ({"float32": 1.0, "bfloat16": 1.2}, {"float32": 2.0, "bfloat16": 1.0}, "float32"),
    ],
)
def test_a_chat_is_weighed_by_what_it_reads_too(
    reading: dict[str, float],
    writing: dict[str, float],
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(monkeypatch, encode=reading, decode=writing)
    assert dtype.choose([BF16], "decode") == chosen


def test_what_is_not_listed_is_not_chosen_and_fp32_always_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(monkeypatch, encode=FAST_BF16, decode=FAST_BF16)
    assert dtype.choose([]) == "float32"
    other_engine = Engine(engine="openvino", dtype="bfloat16")
    assert dtype.choose([other_engine]) == "float32"


def test_a_machine_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = measured(monkeypatch, FAST_BF16, SLOW_BF16)
    assert dtype.probe() == dtype.probe()
    assert len(asked) == 2  # a matrix times a matrix, a matrix times a vector


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"])
def test_a_narrower_instruction_set_is_measured_anew(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = measured(monkeypatch, FAST_BF16, SLOW_BF16)
    dtype.probe()
    monkeypatch.setenv(variable, "avx2")
    assert f"{variable}=avx2" in dtype.probe()["key"]
    assert len(asked) == 4


def test_a_real_probe_times_both_workloads_in_both_dtypes_in_seconds() -> None:
    began = time.monotonic()
    found = dtype.probe()
    assert time.monotonic() - began < 10  # about one on an idle machine
    for workload in ("encode", "decode"):
        assert set(found[workload]) == {"float32", "bfloat16"}
        assert all(0 < ns < 100 for ns in found[workload].values())
