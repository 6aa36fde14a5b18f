"""One search a turn; other articles that could be meant; a title that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.config import read_yaml
from app.core.files import ROOT, write_text
from app.core.memory import Memory, Running
from app.core.messages import Message
from app.knowledge import confidence, followup, ranker
from app.knowledge.asked import LEAST
from app.knowledge.confidence import Held
from app.knowledge.retrieve import Fitted, Knowledge
from app.models.encoder import HashEncoder
from app.support import finding
from app.support.chat import SupportChat
from app.support.finding import Found, Near, find
from app.support.flows import engine
from app.support.flows.base import Tools
from app.support.phrases import HEDGE
from app.support.session import Session
from tests.test_support_chat import DOCS, UK

CARDS, DELIVERY, GRINDER = "Gift cards", "What delivery costs", "The Dunlin hand grinder"
NO_TITLE: dict[str, Any] = {"id": "bare", "text": "Delivery to the UK takes four days by van."}


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.build([*DOCS, NO_TITLE], HashEncoder())


def chat(knowledge: Knowledge, *, threshold: float = 0.0, certain: float = 1.1) -> SupportChat:
    return SupportChat(knowledge, threshold=threshold, certain=certain)


def asked(text: str, *before: str) -> tuple[str, list[Message]]:
    turns = []
    for said in before:
        turns += [Message(role="user", content=said), Message(role="assistant", content="So so.")]
    return text, turns


def test_what_is_found_is_what_search_and_confidence_say(knowledge: Knowledge) -> None:
    found = find(knowledge, UK, [], 3)
    assert found.passages == knowledge.search(UK, k=3)
    assert found.sure == knowledge.confidence(UK, found.passages)
    assert found.question == UK


@pytest.mark.parametrize("text", ["?!", "…", "👍"])
def test_without_a_word_nothing_is_found(knowledge: Knowledge, text: str) -> None:
    found = find(knowledge, text, [], 3)
    assert (found.passages, found.sure) == ([], 0.0)


def test_what_is_surely_right_by_itself_is_not_swallowed_by_the_turn_before(
    knowledge: Knowledge,
) -> None:
    text, turns = asked(f"And {UK}", "How do I clean the burrs of my grinder?")
    alone, mixed = find(knowledge, text, [], 3), find(knowledge, text, turns, 3)
    assert (alone.question, mixed.question) == (text, followup.whole(text, turns))
    for least in (alone.right, alone.right + 0.01):
        found = find(knowledge, text, turns, 3, lambda _, least=least: least)
        stands = alone.right >= max(least, mixed.right)
        assert found.question == (alone if stands else mixed).question


def test_of_two_readings_neither_is_certain_and_the_other_is_offered(
    knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, turns = asked("How much is it by post to the UK?", "How do I clean my grinder?")
    alone = find(knowledge, text, [], 3)
    mixed = find(knowledge, text, turns, 3)
    assert alone.question != mixed.question
    sure = {alone.question: 0.9, mixed.question: 0.8}

    def told(_: Knowledge, __: str, before: Sequence[Message], ___: int) -> Found:
        made = mixed if before else alone
        article = "grinder" if before else "delivery"
        return made._replace(right=sure[made.question], articles=[article])

    monkeypatch.setattr(finding, "_search", told)
    found = find(knowledge, text, turns, 3, lambda _: 0.5)
    assert (found.question, found.right, found.other) == (text, 0.0, "grinder")
    assert found.near(2.0) == [Near("grinder", GRINDER)]
    assert find(knowledge, text, turns, 3, lambda _: 0.95).right == 0.8


def test_near_are_the_next_articles_with_a_title_each_once(knowledge: Knowledge) -> None:
    found = find(knowledge, UK, [], 3)
    near = found.near(0.0, {"delivery"})
    assert len(near) == 2
    assert {n.id for n in near} == {"cards", "grinder"}
    assert {n.title for n in near} == {CARDS, GRINDER}


def test_near_are_those_alone_that_could_be_meant(knowledge: Knowledge) -> None:
    found = find(knowledge, UK, [], 3)
    every = [n.id for n in found.near(0.0)]
    assert every[0] == "delivery"
    assert [n.id for n in found.near(2 * found.sure)] == ["delivery"]
    assert found.near(2.0) == []


def test_articles_with_and_without_ways_to_ask_are_near_side_by_side() -> None:
    ways = [f"how much does the post cost to town {n}" for n in range(LEAST)]
    mixed = Knowledge.build([{**DOCS[0], "questions": ways}, *DOCS[1:]], HashEncoder())
    for asked in ("how much does the post cost to town 3", "clean the burrs", "my grinder"):
        found = find(mixed, asked, [], 3)
        assert {n.id for n in found.near(0.0)} >= {"delivery", "grinder", "cards"}
        assert SupportChat(mixed).answer(asked).text


@pytest.mark.parametrize("text", [CARDS, "gift  CARDS ", "Gift cards\n"])
def test_a_title_is_known_whatever_its_case_and_space(knowledge: Knowledge, text: str) -> None:
    assert knowledge.titled(text) == "cards"


@pytest.mark.parametrize("text", ["", " ", "Gift", "Gift cards?", "x" * 10_000])
def test_what_is_no_title_is_none(knowledge: Knowledge, text: str) -> None:
    assert knowledge.titled(text) is None


def test_titles_of_what_agents_alone_may_see_are_nobodys() -> None:
    secret = {"id": "s", "title": "Refund limits", "visibility": "agents", "text": "Up to €50."}
    assert Knowledge.build([*DOCS, secret], HashEncoder()).titled("Refund limits") is None


def test_a_chosen_article_answers_the_question_before_it(knowledge: Knowledge) -> None:
    found = find(knowledge, *asked(CARDS, UK), 3)
    assert found.question == UK
    assert {p.article for p in found.passages} == {"cards"}
    assert found.sure == 1.0


def test_two_titles_in_a_row_are_both_about_the_question(knowledge: Knowledge) -> None:
    found = find(knowledge, *asked(GRINDER, UK, CARDS), 3)
    assert found.question == UK
    assert {p.article for p in found.passages} == {"grinder"}


def test_a_title_alone_shows_its_article(knowledge: Knowledge) -> None:
    assert find(knowledge, *asked(GRINDER), 3).question == GRINDER
    answer = chat(knowledge).answer(GRINDER)
    assert [c.id for c in answer.citations] == ["grinder"]
    assert not answer.near


def test_a_title_of_the_other_language_shows_its_article(knowledge: Knowledge) -> None:
    found = find(knowledge, *asked("运费说明", UK), 3)
    assert [p.article for p in found.passages] == ["delivery-zh"]


def test_a_title_in_another_language_than_its_article_is_searched_for_like_any_words() -> None:
    odd = {"id": "odd", "title": "refund", "text": "运费", "lang": "zh"}
    other = {"id": "other", "title": "Refunds", "text": "A refund takes ten days.", "lang": "en"}
    found = find(Knowledge.build([odd, other], HashEncoder()), "refund", [], 3)
    assert [p.article for p in found.passages] == ["other"]
    assert found.sure < 1.0


def test_an_unsure_answer_offers_the_others_and_a_sure_one_does_not(knowledge: Knowledge) -> None:
    unsure, sure = chat(knowledge).answer(UK), chat(knowledge, certain=0.0).answer(UK)
    assert {n.id for n in unsure.near} <= {"cards", "grinder", "delivery"}
    assert not {n.id for n in unsure.near} & {c.id for c in unsure.citations}
    assert unsure.near
    assert not sure.near
    assert unsure.text == f"{HEDGE['en']}\n\n{sure.text}"
    assert (unsure.hedged, sure.hedged) == (True, False)


def test_how_certain_is_certain_follows_from_the_error_of_the_brief(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = [False] * 60 + [True, True] + [False] * 30 + [True] * 10
    held = Held(chances=[1 - n / 200 for n in range(len(wrong))], wrong=wrong)
    weights = confidence.load().plain.model_copy(update={"threshold": 0.0, "held": held})
    fitted = confidence.load().model_copy(update={"plain": weights, "asked": weights})
    known = Knowledge.build(DOCS, HashEncoder(), fitted=Fitted(ranker.NONE, fitted))
    promised = read_yaml(ROOT / "brief.yaml")
    kept = {}
    for rate in (0.01, 0.05, 0.30):
        promised["features"]["support"]["max_error"] = rate
        write_text(tmp_path / "brief.yaml", yaml.safe_dump(promised))
        monkeypatch.setenv("FRONTDESK_BRIEF", str(tmp_path / "brief.yaml"))
        chat = SupportChat(known)
        kept[rate] = chat._certain(find(known, UK, [], 3))
    assert kept[0.01] == 1.0  # sixty right answers are too few to promise it
    assert 1.0 > kept[0.05] > kept[0.30]


def test_a_choice_of_the_customers_own_is_never_hedged(knowledge: Knowledge) -> None:
    turns = [Message(role="user", content=UK), Message(role="assistant", content="So so.")]
    assert not SupportChat(knowledge, threshold=0.0, certain=1.0).answer(CARDS, turns).hedged


def test_a_near_miss_offers_its_articles_and_a_far_one_none(knowledge: Knowledge) -> None:
    sure = find(knowledge, UK, [], 3).sure
    close = chat(knowledge, threshold=sure + 0.01).answer(UK)
    far = chat(knowledge, threshold=2 * sure + 0.01).answer(UK)
    assert close.declined
    assert far.declined
    assert close.near[0].title in close.text
    assert not far.near


def session(memory: Memory) -> Session:
    return Session("visitor:a", "talk", memory=memory)


def turn(made: SupportChat, text: str, memory: Memory, *before: str) -> Any:
    *_, last = made.turn(*asked(text, *before), session=session(memory))
    assert last.answer is not None
    return last.answer


def test_others_are_buttons_that_the_conversation_remembers(knowledge: Knowledge) -> None:
    answer = turn(chat(knowledge), UK, Memory())
    titles = [n.title for n in answer.near]
    assert titles
    assert list(answer.quick) == titles
    assert answer.memory.near == titles
    follow = turn(chat(knowledge), titles[0], answer.memory, UK)
    assert [c.title for c in follow.citations] == [titles[0]]
    assert follow.memory.near == []


def test_the_way_to_a_person_stands_behind_the_titles(knowledge: Knowledge) -> None:
    sure = find(knowledge, UK, [], 3).sure
    answer = turn(chat(knowledge, threshold=sure + 0.01), UK, Memory())
    assert list(answer.quick) == [*(n.title for n in answer.near), "Talk to a human"]


@pytest.mark.parametrize("title", ["Cancel my order", "I want to talk to a human"])
def test_an_offered_title_is_an_article_even_where_its_words_start_a_flow(title: str) -> None:
    chosen = engine.step(title, "en", Memory(near=[title]), Tools())
    assert (chosen.said, chosen.intent) == (None, "question")
    typed = engine.step("I want to talk to a human", "en", Memory(), Tools())
    assert typed.intent == "human"


def test_a_flow_under_way_waits_behind_the_chosen_article() -> None:
    running = Running(flow="complaint", key="k", asks="what")
    step = engine.step(CARDS, "en", Memory(near=[CARDS], running=running), Tools())
    assert step.said is None
    assert step.memory.running is not None
