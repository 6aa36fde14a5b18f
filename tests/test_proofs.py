"""The committed proofs hold and are about this code; each is run here in miniature."""

from __future__ import annotations

import pytest

from app.core.files import read_json
from app.models.encoder import HashEncoder
from tests.prove import FOLDER, PROOFS
from tests.prove_resume import CASES
from tests.prove_search import search


@pytest.mark.parametrize("name", PROOFS)
def test_the_committed_proof_is_about_this_code(name: str) -> None:
    proof = read_json(FOLDER / f"{name}.json")
    assert proof["code"] == PROOFS[name].code(), f"stale: make prove (python -m tests.prove {name})"


def test_the_committed_proof_of_the_gate_holds() -> None:
    found = read_json(FOLDER / "gate.json")["found"]
    assert found["ship_worse"]["runs"] >= 2000
    assert found["ship_worse"]["upper_95"] <= 0.07
    assert found["block_equal"]["upper_95"] <= 0.07
    assert found["ship_better"]["runs"] >= 2000
    assert found["ship_better"]["lower_95"] >= 0.80


def test_the_committed_proof_of_the_kills_holds() -> None:
    found = read_json(FOLDER / "kill.json")["found"]
    assert (found["kills"], found["questions_lost"], found["integrity"]) == (10, 0, "ok")


def test_the_committed_proof_of_the_resumed_runs_holds() -> None:
    found = read_json(FOLDER / "resume.json")["found"]
    assert set(found) == set(CASES)
    assert {(one["kills"], one["unequal"]) for one in found.values()} == {(10, 0)}
    assert found["early_stopping"]["steps"] < found["sft"]["steps"]


def test_the_committed_proof_of_the_loops_holds() -> None:
    found = read_json(FOLDER / "loops.json")["found"]
    assert found["sentiment"]["verdict"] == "ship"
    assert found["support"]["verdict"] in ("ship", "block", "inconclusive")
    assert max(one["seconds"] for one in found.values()) < 360


def test_the_committed_proof_of_the_search_holds() -> None:
    found = read_json(FOLDER / "search.json")["found"]
    assert (found["passages"], found["questions"]) == (10_000, 240)
    assert found["median_cpu_ms"] <= 30


def test_the_search_in_miniature_is_over_all_passages() -> None:
    found = search(3, passages=60, encoder=HashEncoder())
    assert (found["passages"], found["questions"]) == (60, 3)


def test_the_gate_in_miniature_is_rarely_wrong() -> None:
    found = PROOFS["gate"].run(40)
    assert found["ship_worse"]["count"] <= 6
    assert found["block_equal"]["count"] <= 6
    assert found["ship_better"]["count"] >= 27


@pytest.mark.slow
def test_a_kill_in_mid_turn_loses_no_question() -> None:
    assert PROOFS["kill"].run(2) == {"kills": 2, "questions_lost": 0, "integrity": "ok"}
