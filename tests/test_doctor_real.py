"""The doctor on public data: nothing false on it as it is, and planted labels beside cleanlab's.

The table of the comparison is printed: `pytest -s -k datalab`. cleanlab is in the extra `bench`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from app.core import data
from app.core.config import load
from app.core.files import ROOT
from app.core.fingerprints import tokens
from app.core.textprep import prepare
from finetune.config import TrainConfig
from finetune.doctor import Diagnosis, examine, suspects
from finetune.doctor.held_out import HeldOut, vectors

PLANTED = 0.05


class Planted(NamedTuple):
    """Texts with labels, some of them replaced."""

    texts: list[str]
    given: NDArray[np.integer]
    replaced: NDArray[np.bool_]
    k: int


class Found(NamedTuple):
    """How many were named, and how many of these were replaced labels."""

    named: int
    hits: int
    planted: int

    @property
    def precision(self) -> float:
        return self.hits / max(self.named, 1)

    def __str__(self) -> str:
        return (
            f"{self.named:5d} named, precision {self.precision:.3f}, "
            f"recall {self.hits / self.planted:.3f}"
        )


def planted(ref: str, most: int, seed: int) -> Planted:
    """`most` rows of `ref`, PLANTED of whose labels are replaced by another at random."""
    rows, rng = data.classification(ref), np.random.default_rng(seed)
    rows = [rows[n] for n in rng.permutation(len(rows))[:most]]
    names = sorted({row.label for row in rows})
    right = np.array([names.index(row.label) for row in rows])
    replaced = rng.random(len(rows)) < PLANTED
    another = (right + rng.integers(1, len(names), len(rows))) % len(names)
    given = np.where(replaced, another, right)
    return Planted([row.text for row in rows], given, replaced, len(names))


def found(suspect: NDArray[np.bool_], case: Planted) -> Found:
    return Found(int(suspect.sum()), int(case.replaced[suspect].sum()), int(case.replaced.sum()))


def datalab(case: Planted, x: Any) -> NDArray[np.bool_]:
    """What Datalab calls label issues, from five-fold logistic regression on the features x."""
    cleanlab = pytest.importorskip("cleanlab", reason="cleanlab: pip install '.[doctor-peer]'")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    model = LogisticRegression(C=10, max_iter=200)
    said = cross_val_predict(model, x, case.given, cv=5, method="predict_proba")
    lab = cleanlab.Datalab({"label": case.given.tolist()}, label_name="label", verbosity=0)
    lab.find_issues(pred_probs=said, issue_types={"label": {}})
    suspect: NDArray[np.bool_] = lab.get_issues("label")["is_label_issue"].to_numpy()
    return suspect


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of cleanlab and its own dependencies
@pytest.mark.parametrize("seed", [20, 21])  # the settings were chosen on other draws
@pytest.mark.parametrize(
    ("ref", "most"),
    [("data:sst2#train", 6920), ("data:banking77#train", 4000), ("data:clinc150#train", 4000)],
)
def test_planted_labels_are_found_at_least_as_well_as_by_datalab(
    ref: str, most: int, seed: int
) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    case = planted(ref, most, seed)
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    meaning = vectors(case.texts)
    assert meaning is not None
    model = HeldOut(case.texts, meaning)
    verdict = suspects.judge(model, case.given, case.k)
    ours = found(verdict.suspect, case)
    print(f"\n{ref}, draw {seed}: {len(case.given)} rows, {case.replaced.sum()} replaced labels")
    print(f"  doctor                 {ours}")
    for name, x in (
        ("words", words.fit_transform(case.texts)),
        ("as doctor", np.hstack([model._words.toarray(), model._meaning])),
    ):
        theirs = found(datalab(case, x), case)
        most_suspect = np.zeros(len(case.given), dtype=bool)
        most_suspect[np.argsort(-verdict.odds, kind="stable")[: theirs.named]] = True
        as_many = found(most_suspect, case)
        print(f"  Datalab, {name:9s}     {theirs}")
        print(f"  doctor, as many        {as_many}")
        assert as_many.hits >= theirs.hits
        assert ours.precision > theirs.precision


def shipped(name: str, *overrides: str) -> Diagnosis:
    """Diagnosis of the data of a shipped config."""
    return examine(load(TrainConfig, ROOT / "finetune" / "configs" / name, list(overrides)))


def on(ref: str) -> tuple[str, ...]:
    """Overrides: a classification run on `ref` alone."""
    return (f"data.train=[{ref}]", "data.ratings=[]", "data.dev=[]", "data.exclude_overlap_with=[]")


def texts_of(one: Diagnosis, check: str) -> Iterator[tuple[str, str]]:
    """(where, text) of the examples of a check."""
    for finding in one.findings:
        if finding.check == check:
            yield from finding.examples


@pytest.mark.realdata
@pytest.mark.parametrize("ref", ["data:sst2#dev", "data:clinc150#train", "data:banking77#train"])
def test_on_public_data_no_error_and_no_warning_but_true_repetitions(ref: str) -> None:
    one = shipped("sentiment.yaml", *on(ref))
    told = {finding.check for finding in one.of("error", "warning")}
    assert told <= {"duplicates", "near_duplicates", "leakage", "near_leakage", "too_long"}


@pytest.mark.realdata
@pytest.mark.parametrize("ref", ["data:clinc150#train", "data:banking77#train"])
def test_repetitions_named_in_public_data_are_repetitions(ref: str) -> None:
    rows = data.classification(ref)
    pairs = suspects_of_likeness([prepare(row.text).lower() for row in rows])
    assert len(pairs) > 20
    assert sum(shared(*map(tokens, pair)) < 0.8 for pair in pairs) < 0.02 * len(pairs)


def shared(one: list[str], two: list[str]) -> float:
    """Share of the words that two texts have in common, wherever these stand (Dice).

    What moves its words is mostly "in tokyo what time is it": 33 of 35 such pairs say the same as
    each other, two (baking powder instead of soda, and the reverse) do not.
    """
    return 2 * (Counter(one) & Counter(two)).total() / (len(one) + len(two))


def suspects_of_likeness(said: list[str]) -> list[tuple[str, str]]:
    from finetune.doctor.duplicates import similar

    return [(said[i], said[j]) for i, j in similar([tokens(text) for text in said])]


def test_the_command_says_what_is_wrong_and_ends_with_2(tmp_path: Path, python: str) -> None:
    import json
    import subprocess

    from tests.helpers_doctor import labelled
    from tests.helpers_train import config_tree, written

    train = tmp_path / "train.jsonl"
    train.write_text("\n".join(map(json.dumps, labelled())) + '\n{"text": "cut o')
    tree: dict[str, Any] = config_tree("classification", tmp_path, train, tmp_path / "runs")
    file = written(tmp_path / "c.yaml", tree | {"data": {"train": [f"file:{train}"]}})
    run = [python, "-m", "finetune", "doctor", "--config", str(file)]
    plain = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=False)
    assert plain.returncode == 2, plain.stderr
    assert "error    unreadable:" in plain.stdout
    assert "train.jsonl:61" in plain.stdout
    told = subprocess.run([*run, "--json"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert json.loads(told.stdout)["findings"][0]["rows"] == [f"{train}:61"]
