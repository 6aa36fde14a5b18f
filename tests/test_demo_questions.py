"""The demo's question set is what the README says: counts, splits, gold facts, and not too easy."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import bm25s
import numpy as np
import pytest

from app.core.data import corpus
from app.core.files import DEMO
from app.core.kinds import Corpus, Query
from app.core.language import detect, normalise
from app.core.records import read_rows
from app.knowledge.alternates import of
from app.knowledge.asked import ELSEWHERE
from app.knowledge.split import split
from eval.metrics.facts import states

KINDS = {"plain", "typo", "fragment", "two_part", "follow_up", "unanswerable"}
ASKED = DEMO / "support" / "asked.jsonl"
FIGURE = re.compile(r"\d+(?:[.:]\d+)?")


@cache
def demo() -> Corpus:
    return corpus("demo:support")


def counted(**wanted: str) -> int:
    return sum(all(getattr(q, k) == v for k, v in wanted.items()) for q in demo().queries)


def gold_texts(query: Query) -> list[str]:
    """Texts of the gold articles, in translation where the question's language has one."""
    texts = {doc["id"]: doc["text"] for doc in demo().docs}
    translated = {d["same_as"]: d["text"] for d in demo().docs if d["lang"] == query.lang != "en"}
    return [translated.get(article, texts[article]) for article in query.gold]


def test_there_are_enough_articles_in_both_languages() -> None:
    assert Counter(doc["lang"] for doc in demo().docs) == {"en": 38, "zh": 30}


def test_a_translation_states_the_figures_of_its_original() -> None:
    texts = {doc["id"]: doc["text"] for doc in demo().docs}
    for doc in demo().docs:
        if original := doc.get("same_as"):
            figures = [set(FIGURE.findall(text)) for text in (texts[original], doc["text"])]
            assert figures[0] == figures[1], doc["id"]


def test_there_are_enough_questions_of_each_kind() -> None:
    queries = demo().queries
    assert len(queries) >= 320
    assert {query.kind for query in queries} == KINDS
    assert counted(kind="typo") + counted(kind="fragment") >= 0.15 * len(queries)
    assert counted(kind="two_part") >= 0.10 * len(queries)


def test_the_test_split_holds_enough_of_what_is_hard() -> None:
    assert counted(split="test") >= 100
    assert counted(split="test", kind="unanswerable") >= 25
    assert counted(split="test", kind="unanswerable", lang="zh") >= 20
    assert counted(split="test", lang="zh") >= 100
    assert counted(split="test", kind="follow_up", lang="zh") >= 15
    assert counted(split="test", kind="follow_up") >= 20


def test_ids_and_texts_are_unique() -> None:
    queries = demo().queries
    assert len({query.id for query in queries}) == len(queries)
    assert len({query.text.casefold() for query in queries}) == len(queries)


def test_no_topic_is_in_two_splits() -> None:
    splits = defaultdict(set)
    for query in demo().queries:
        for topic in {query.topic, *query.gold}:
            splits[topic].add(query.split)
    assert {topic: found for topic, found in splits.items() if len(found) > 1} == {}
    assert set.union(*splits.values()) == {"train", "dev", "test"}


def test_a_question_has_gold_and_facts_or_neither() -> None:
    for query in demo().queries:
        unanswerable = query.kind == "unanswerable"
        assert bool(query.gold) is bool(query.facts) is not unanswerable, query.id


def test_every_fact_stands_in_a_gold_article_and_every_gold_article_states_one() -> None:
    for query in demo().queries:
        texts = gold_texts(query)
        for fact in query.facts:
            assert any(states(text, fact) for text in texts), (query.id, fact)
        for text in texts:
            assert any(states(text, fact) for fact in query.facts), query.id


def test_follow_ups_and_only_they_have_a_turn_before() -> None:
    for query in demo().queries:
        assert bool(query.history) is (query.kind == "follow_up"), query.id
        told = " ".join(turn["content"] for turn in query.history)
        assert not any(states(told, fact) for fact in query.facts), query.id


def test_questions_are_in_the_language_that_they_name() -> None:
    for query in demo().queries:
        assert detect(query.text) == query.lang, query.id


def test_each_split_has_chinese_questions_to_answer_and_to_decline() -> None:
    for split_ in ("train", "dev", "test"):
        declined = counted(split=split_, lang="zh", kind="unanswerable")
        assert declined >= 8, split_
        assert counted(split=split_, lang="zh") - declined >= 24, split_


def test_no_chinese_question_shares_six_characters_in_a_row_with_an_article() -> None:
    articles = "".join(doc["title"] + doc["text"] for doc in demo().docs if doc["lang"] == "zh")
    for query in demo().queries:
        runs = re.findall(r"(?=([\u4e00-\u9fff]{6}))", query.text)
        assert not [run for run in runs if run in articles], query.id


@pytest.mark.parametrize("unit", ["passages", "articles"])
def test_bm25_alone_does_not_solve_the_english_questions(unit: str) -> None:
    """bm25s as it comes (its English tokenisation and stop words), over all splits at once."""
    docs = [doc for doc in demo().docs if doc["lang"] == "en"]
    rows = [
        (doc["id"], text)
        for doc in docs
        for text in (
            [f"{doc['title']}\n{doc['text']}"]
            if unit == "articles"
            else [section.searched for section in split(doc)]
        )
    ]
    index = bm25s.BM25()
    index.index(_tokens([text for _, text in rows]), show_progress=False)
    asked = [query for query in demo().queries if query.lang == "en" and query.gold]
    right = 0
    for query in asked:
        before = [turn["content"] for turn in query.history if turn["role"] == "user"]
        words = _tokens([" ".join([*before, query.text])])[0]
        scores = index.get_scores([word for word in words if word in index.vocab_dict])
        right += rows[int(np.argmax(scores))][0] in query.gold
    print(f"BM25 alone over {unit}: recall@1 {right / len(asked):.3f} of {len(asked)}")
    assert right / len(asked) <= 0.80


def _tokens(texts: list[str]) -> list[list[str]]:
    found: list[list[str]] = bm25s.tokenize(
        texts, stopwords="en", return_ids=False, show_progress=False
    )
    return found


# Ways to ask ------------------------------------------------------------------------------------


@cache
def asked() -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "_where"} for row in read_rows(ASKED)]


def test_every_article_carries_ways_to_ask_and_near_misses() -> None:
    for doc in demo().docs:
        ways = of(doc)
        assert sum(way.answered for way in ways) >= 100, doc["id"]
        assert sum(not way.answered for way in ways) >= 20, doc["id"]


def test_what_a_way_to_ask_is_answered_by_stands_in_its_article() -> None:
    texts = {doc["id"]: doc["text"] for doc in demo().docs}
    for row in asked():
        assert row["says"] is None or row["says"] in texts[row["article"]], row["says"]


def test_no_way_to_ask_is_a_question_of_the_set_or_another_way() -> None:
    """They were written from the articles alone, by writers who never saw the questions."""
    ways = [bare(text) for row in asked() for text in row["asked"]]
    elsewhere = [bare(str(row["text"])) for row in read_rows(ELSEWHERE)]
    questions = {bare(query.text) for query in demo().queries}
    assert len(set(ways)) == len(ways)
    assert not set(ways) & set(elsewhere)
    assert not questions & {*ways, *elsewhere}


@pytest.mark.parametrize(("language", "run"), [("en", 3), ("zh", 2)])
def test_no_way_to_ask_is_nearly_a_question_of_the_test_split(language: str, run: int) -> None:
    """By runs of letters: of none more than six tenths are shared, of those in either."""
    kept = [q.text for q in demo().queries if q.split == "test" and q.lang == language]
    questions = [runs(text, run) for text in kept]
    texts = [text for row in asked() for text in row["asked"] if detect(text) == language]
    for text in texts:
        own = runs(text, run)
        for other in questions:
            if len(own) > 4:
                assert len(own & other) <= 0.6 * len(own | other), text


def bare(text: str) -> str:
    return re.sub(r"\W", "", normalise(text).casefold())


def runs(text: str, length: int) -> frozenset[str]:
    plain = bare(text)
    return frozenset(plain[at : at + length] for at in range(len(plain) - length + 1))
