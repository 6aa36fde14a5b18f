"""Questions over articles -> conversations that answer from passages, or decline.

The target of a question is the sentence (or two) of its article that states the facts, copied: an
answer that stands in the passage word for word is grounded by construction. The passages are those
that hold it and others that BM25 finds for the question: mostly the right one first, as the
product's search has it, else in the order of their scores, so that it is not always the first.
Where no article answers, the target is the sentence with which the product declines.

Only articles that answer a question of the same split are shown, so that training sees none of the
articles that dev and test ask about. English only: Chinese questions are answered by quoting.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.core import data
from app.core.fingerprints import tokens
from app.core.kinds import Query
from app.core.messages import Conversation, Message, Passage
from app.core.prompt import DECLINE

WORDS = 60
"""A passage is whole sentences of one paragraph, up to about so many words."""
SHOWN = (2, 3, 4)
"""How many passages a question is given, drawn by seed."""
TAKEN_AWAY = 0.0
"""Share of answerable questions that are shown without the passages that answer them. None: the
product declines before a model is asked, and a small one that learnt to decline does it too often
(0.12 and 0.4 below: it declined half of the demo's answerable questions)."""
UNANSWERABLE = 0.06
"""At most so many unanswerable questions for each answerable one, so that it knows how to."""
FIRST = 0.6
"""Share of answerable questions whose passages come first, whatever BM25 says."""
_CANDIDATES = 20
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b(?:Mr|Dr|St)\.)\s+(?=[\"'(]?[A-Z0-9€$£])"
)


class Found(NamedTuple):
    """Conversations, and why the other questions gave none."""

    rows: list[Conversation]
    left_out: dict[str, int]


def conversations(ref: str, seed: int, limit: int | None = None) -> Found:
    """Conversations from a folder of articles and questions (a seeded sample of `limit`)."""
    found = data.corpus(ref)
    queries = [query for query in found.queries if query.lang == "en"]
    left_out = {"other_language": len(found.queries) - len(queries)}
    index = _Index([passage for doc in _own_docs(ref, queries) for passage in cut(doc)])
    rng = random.Random(seed)
    chosen = _balanced(queries, rng)
    left_out["unanswerable_beyond_balance"] = len(queries) - len(chosen)
    made = [_conversation(query, index, rng) for query in chosen[:limit]]
    rows = [row for row in made if row is not None]
    left_out["no_sentence_states_the_facts"] = len(made) - len(rows)
    return Found(rows, left_out)


def cut(doc: dict[str, Any]) -> list[Passage]:
    """Passages of an article: whole sentences of one paragraph, about WORDS words at most."""
    texts = [piece for paragraph in doc["text"].split("\n\n") for piece in _pieces(paragraph)]
    title = str(doc.get("title") or "")
    return [
        Passage(id=f"{doc['id']}#{n}", text=text, article=str(doc["id"]), title=title)
        for n, text in enumerate(texts)
    ]


def sentences(text: str) -> list[str]:
    """English sentences of `text`, headings (`## ...`) left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    return [piece for line in lines for piece in _SENTENCE_END.split(line)]


def states(sentence: str, fact: str) -> bool:
    """Whether `sentence` has one of the spellings of `fact` (separated by `|`) as whole words."""
    said = f" {' '.join(tokens(sentence))} "
    return any(f" {' '.join(tokens(spelling))} " in said for spelling in fact.split("|"))


class _Index:
    """BM25 (Robertson & Zaragoza 2009) over passages, for the company that a passage keeps."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s

        self.passages = list(passages)
        self._bm25 = bm25s.BM25()
        self._bm25.index([tokens(f"{p.title} {p.text}") for p in passages], show_progress=False)

    def ranked(self, question: str, articles: Sequence[str]) -> list[Passage]:
        """The best passages and all of `articles`, best first."""
        scores = self._bm25.get_scores(tokens(question))
        best = set(scores.argsort()[::-1][:_CANDIDATES].tolist())
        wanted = best | {n for n, p in enumerate(self.passages) if p.article in articles}
        order = sorted(wanted, key=lambda n: (-scores[n], n))
        return [self.passages[n].model_copy(update={"score": float(scores[n])}) for n in order]


def _own_docs(ref: str, queries: Sequence[Query]) -> list[dict[str, Any]]:
    """Articles that answer one of `queries`, and no question of another split."""
    everything = data.corpus(ref.partition("#")[0])
    asked = {query.id for query in queries}
    own = {article for query in queries for article in query.gold}
    others = {a for q in everything.queries if q.id not in asked and q.lang == "en" for a in q.gold}
    return [doc for doc in everything.docs if doc["id"] in own - others]


def _balanced(queries: Sequence[Query], rng: random.Random) -> list[Query]:
    answerable = [query for query in queries if query.gold]
    others = [query for query in queries if not query.gold]
    most = round(UNANSWERABLE * len(answerable))
    chosen = answerable + rng.sample(others, min(most, len(others)))
    rng.shuffle(chosen)
    return chosen


def _conversation(query: Query, index: _Index, rng: random.Random) -> Conversation | None:
    history = [Message.model_validate(m) for m in query.history]
    said = [m.content for m in history if m.role == "user"]
    ranked = index.ranked(" ".join([*said, query.text]), query.gold)
    gold = [p for p in ranked if p.article in query.gold]
    shown = rng.choice(SHOWN)
    if not query.gold or rng.random() < TAKEN_AWAY:
        passages = [p for p in ranked if p.article not in query.gold][:shown]
        return _answered(query, history, passages, DECLINE["en"])
    target = _stating(query, gold)
    if not target:
        return None
    holding = [p for p in gold if any(s in sentences(p.text) for s in target)]
    silent = [p for p in ranked if not any(states(p.text, fact) for fact in query.facts)]
    beside = silent[: max(1, shown - len(holding))]
    # Search, which puts what it finds in order better than BM25, has the right one first so often.
    passages = [*holding, *beside]
    if rng.random() >= FIRST:
        passages.sort(key=lambda p: -p.score)
    return _answered(query, history, passages, " ".join(target))


def _stating(query: Query, gold: Sequence[Passage]) -> list[str]:
    """For each fact the sentence that states it, nearest to the question in words; [] if none."""
    asked = set(tokens(query.text))
    chosen: list[str] = []
    for fact in query.facts:
        stating = [s for p in gold for s in sentences(p.text) if states(s, fact)]
        if not stating:
            return []
        if not any(s in chosen for s in stating):
            chosen.append(max(stating, key=lambda s: len(asked & set(tokens(s)))))
    return chosen


def _answered(
    query: Query, history: list[Message], passages: list[Passage], answer: str
) -> Conversation:
    turns = [*history, Message(role="user", content=query.text)]
    return Conversation(
        messages=[*turns, Message(role="assistant", content=answer)], passages=passages
    )


def _pieces(paragraph: str) -> list[str]:
    pieces: list[list[str]] = []
    for sentence in sentences(paragraph):
        words = sum(len(s.split()) for s in pieces[-1]) if pieces else 0
        if pieces and words + len(sentence.split()) <= WORDS:
            pieces[-1].append(sentence)
        else:
            pieces.append([sentence])
    return [" ".join(piece) for piece in pieces]
