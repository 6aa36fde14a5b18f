"""What ways to ask teach is made ahead, found again, and shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.files import cache_dir
from app.knowledge import asked, learnt
from app.knowledge.split import split
from app.models.encoder import HashEncoder
from tests.test_asked import DOCS


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("app.models.load.resolve", lambda _: None)
    monkeypatch.setattr("app.models.load.text_encoder", lambda _: HashEncoder())


def test_it_is_made_once_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = learnt.learn(DOCS)
    assert made.parent == cache_dir() / "asked"
    assert made.is_file()
    monkeypatch.setattr(asked, "fit", lambda *_: pytest.fail("learnt again"))
    assert learnt.learn(DOCS) == [made]


def test_articles_without_ways_to_ask_teach_nothing() -> None:
    assert learnt.learn([{**doc, "questions": []} for doc in DOCS]) == []


def test_what_agents_alone_may_see_is_learnt_apart() -> None:
    assert len(set(learnt.learn([*DOCS[1:], {**DOCS[0], "visibility": "agents"}]))) == 2


def test_what_a_space_was_given_is_not_learnt_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (made,) = learnt.learn(DOCS)
    shipped = tmp_path / "weights" / "asked"
    shipped.mkdir(parents=True)
    made.rename(shipped / made.name)
    monkeypatch.setattr(asked, "SHIPPED", shipped)
    monkeypatch.setattr(asked, "fit", lambda *_: pytest.fail("learnt again"))
    sections = [section for doc in DOCS for section in split(doc)]
    assert asked.asked_index(sections, HashEncoder(), "en") is not None
