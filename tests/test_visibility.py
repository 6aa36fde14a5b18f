"""What an audience may not see is neither found nor counted, whatever is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.language import detect
from app.core.messages import Message
from app.knowledge.retrieve import Audience, Knowledge, Mode
from app.models.base import Delta
from app.models.encoder import HashEncoder
from app.support.chat import SupportChat

WORDS = ["refund", "limit", "grinder", "customs", "deposit", "运费", "礼品卡", "退款"]
MODES: tuple[Mode, ...] = ("bm25", "dense", "hybrid")
STAFF = "The staff passphrase is OPEN SESAME."

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
docs = st.lists(
    st.fixed_dictionaries(
        {"text": texts, "title": texts, "visibility": st.sampled_from(["public", "agents", "odd"])}
    ),
    max_size=6,
).map(lambda made: [{"id": f"d{n}", **doc} for n, doc in enumerate(made)])


@pytest.fixture(autouse=True)
def no_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@given(made=docs, question=texts, mode=st.sampled_from(MODES))
@settings(max_examples=60, deadline=None)
def test_customers_get_what_they_would_get_if_nothing_else_existed(
    made: list[dict[str, Any]], question: str, mode: Mode
) -> None:
    """The same passages with the same scores and confidence: agents' articles leave no trace."""
    base = {"id": "base", "text": "grinder 礼品卡", "title": "base", "visibility": "public"}
    everything = Knowledge.build([*made, base], HashEncoder())
    public = Knowledge.build(
        [doc for doc in [*made, base] if doc["visibility"] == "public"], HashEncoder()
    )
    found = everything.search(question, k=50, mode=mode)
    assert found == public.search(question, k=50, mode=mode)
    assert everything.confidence(question, found) == public.confidence(question, found)


@given(made=docs, question=texts, audience=st.sampled_from(["public", "agents"]))
@settings(max_examples=60, deadline=None)
def test_an_audience_finds_only_what_it_may_see(
    made: list[dict[str, Any]], question: str, audience: Audience
) -> None:
    base = {"id": "base", "text": "grinder 礼品卡", "title": "base", "visibility": "public"}
    knowledge = Knowledge.build([*made, base], HashEncoder())
    sees = {"public": ("public",), "agents": ("public", "agents")}[audience]
    allowed = {doc["id"] for doc in [*made, base] if doc["visibility"] in sees}
    found = knowledge.search(question, k=50, audience=audience)
    assert {passage.article for passage in found} <= allowed


def test_agents_find_their_own_articles_and_the_public_ones() -> None:
    knowledge = Knowledge.build(
        [
            {"id": "a", "text": "The refund limit is €50.", "visibility": "agents"},
            {"id": "p", "text": "The refund takes a week.", "visibility": "public"},
        ],
        HashEncoder(),
    )
    found = knowledge.search("refund", audience="agents")
    assert {passage.article for passage in found} == {"a", "p"}
    assert knowledge.confidence("refund limit", found, audience="agents") > 0


class Listens:
    """A chat model that keeps all that it is told."""

    name = "listens"

    def __init__(self) -> None:
        self.told = ""

    def stream(self, messages: Sequence[Message], *_: Any, **__: Any) -> Iterator[Delta]:
        self.told += "\n".join(message.content for message in messages)
        yield Delta("Grinders are clean.", "stop")


@given(made=docs, questions=st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_no_word_of_an_agents_article_enters_a_prompt_or_an_answer(
    made: list[dict[str, Any]], questions: list[str]
) -> None:
    marked = [
        doc if doc["visibility"] == "public"
        else {**doc, "text": f"{doc['text']} CANARY", "title": f"{doc['title']} CANARY"}
        for doc in made
    ]  # fmt: skip
    base = {"id": "base", "text": "grinder 礼品卡", "title": "base", "visibility": "public"}
    for system in ("quote", "model"):
        model = Listens()
        knowledge = Knowledge.build([*marked, base], HashEncoder())
        chat = SupportChat(knowledge, system, model, threshold=0.0)  # type: ignore[arg-type]
        history = list[Message]()
        asks = system == "model" and detect(questions[0]) == "en"
        for question in questions:
            answer = chat.answer(question, history)
            shown = [answer.text, *map(str, answer.citations), *map(str, answer.near)]
            assert "CANARY" not in "".join([model.told, *shown])
            history += [Message(role="user", content=question),
                        Message(role="assistant", content=answer.text)]  # fmt: skip
        assert bool(model.told) or not asks


def test_with_agents_articles_alone_customers_are_declined() -> None:
    chat = SupportChat(
        Knowledge.build([{"id": "a", "text": STAFF, "visibility": "agents"}], HashEncoder()),
        threshold=0.0,
    )
    answer = chat.answer("What is the staff passphrase?")
    assert answer.declined
    assert "SESAME" not in answer.text
    assert answer.citations == []


def test_the_same_system_over_other_articles_leaves_the_first_as_it_was() -> None:
    first = SupportChat(
        Knowledge.build([{"id": "a", "text": "Tea is brewed at 80 degrees."}], HashEncoder()),
        threshold=0.0,
        certain=0.0,
    )
    second = first.over([{"id": "b", "text": "Tea is brewed at 95 degrees."}])
    asked = "How hot is tea brewed?"
    assert (first.answer(asked).text, second.answer(asked).text) == (
        "Tea is brewed at 80 degrees.", "Tea is brewed at 95 degrees.",
    )  # fmt: skip
