"""What users said -> training rows: consented, redacted, damped, checked, counted.

    store or scripted file -> usable? -> redacted -> new? -> one voice among many? -> agreed? -> not
    in a test set? -> FILE (jsonl) and FILE.json (counts)

A row teaches where the user corrected the answer, or gave it a thumb up. Sentiment rows become
{text, label}; support rows become {messages, passages}, and only where every number of the answer
stands in the passages: a chat that learns facts by heart from users answers from nowhere.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.core import data
from app.core.errors import InputError
from app.core.files import write_json, write_jsonl
from app.core.fingerprints import tokens
from app.core.messages import Message, Passage
from app.core.redact import redact
from finetune import grounded, overlap
from finetune.corrections import Feature, Given

MAX_PER_USER = 20
"""Rows of one user that are used, the newest: one loud voice is no crowd."""
TEST_SETS = {
    "sentiment": ("demo:reviews#test", "demo:reviews#dev"),
    "support": ("demo:support#test", "demo:support#dev"),
}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Built(NamedTuple):
    """Training rows, and what became of the others."""

    rows: list[dict[str, Any]]
    counts: dict[str, int]


def build(given: Sequence[Given], feature: Feature, *, max_per_user: int = MAX_PER_USER) -> Built:
    """Training rows from `given` (oldest first), with a count for each reason to leave one out."""
    counts: Counter[str] = Counter(given=len(given))
    kept = _where(given, lambda g: bool(g.target and g.text.strip()), counts, "says_nothing_usable")
    kept = [_redacted(g, counts) for g in kept]
    kept = _once(kept, counts)
    kept = _damped(kept, max_per_user, counts)
    kept = _agreed(kept, counts) if feature == "sentiment" else kept
    known = overlap.known_texts(TEST_SETS[feature])
    texts = {id(g): [g.text, g.target] if feature == "support" else [g.text] for g in kept}
    kept = _where(kept, lambda g: not overlap.shares(texts[id(g)], known), counts, "in_a_test_set")
    rows = _labelled(kept) if feature == "sentiment" else _conversations(kept, counts)
    return Built(rows, {**counts, "used": len(rows)})


def write(out: Path, feature: Feature, source: str, built: Built) -> dict[str, Any]:
    """Write `out` and, beside it, what it is made of; returns the latter.

    Raises InputError where no row is left: there is nothing to train on.
    """
    if not built.rows:
        raise InputError(f"no row of {source} can be trained on: {_why(built.counts)}")
    record = {"feature": feature, "source": source, "counts": built.counts}
    write_jsonl(out, built.rows)
    write_json(out.with_name(out.name + ".json"), record)
    return record


def _why(counts: Mapping[str, int]) -> str:
    """What became of the rows, in words."""
    if not counts["given"]:
        return "none has consent. Set consent to true in rows whose users allow it"
    said = (f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
    return ", ".join(said)


def _where(given: Sequence[Given], keep: Any, counts: Counter[str], reason: str) -> list[Given]:
    kept = [g for g in given if keep(g)]
    counts[reason] += len(given) - len(kept)
    return kept


def _redacted(given: Given, counts: Counter[str]) -> Given:
    history = [{**turn, "content": redact(turn["content"]).text} for turn in given.history]
    public = "\n".join(str(c.get("passage") or "") for c in given.citations if isinstance(c, dict))
    text, correction = redact(given.text), redact(given.correction, public)
    answer = redact(given.answer, public)
    found = sum(sum(r.found.values()) for r in (text, correction, answer))
    counts["redacted_pieces_of_personal_data"] += found
    return given._replace(
        text=text.text, correction=correction.text, answer=answer.text, history=history
    )


def _once(given: Sequence[Given], counts: Counter[str]) -> list[Given]:
    """The same text with the same answer counts once, its newest; case and punctuation aside."""
    newest = {(_key(g), g.target.lower()): g for g in given}
    counts["said_before"] += len(given) - len(newest)
    return list(newest.values())


def _damped(given: Sequence[Given], most: int, counts: Counter[str]) -> list[Given]:
    seen: Counter[str] = Counter()
    kept: list[Given] = []
    for one in reversed(given):
        seen[one.owner] += 1
        if seen[one.owner] <= most:
            kept.append(one)
    counts["beyond_one_users_share"] += len(given) - len(kept)
    return kept[::-1]


def _agreed(given: Sequence[Given], counts: Counter[str]) -> list[Given]:
    """Texts that were not given two labels; who is right cannot be known here."""
    labels = defaultdict(set)
    for one in given:
        labels[_key(one)].add(one.target)
    return _where(given, lambda g: len(labels[_key(g)]) == 1, counts, "contradicted")


def _labelled(given: Iterable[Given]) -> list[dict[str, Any]]:
    return [{"text": one.text, "label": one.target} for one in given]


def _conversations(given: Iterable[Given], counts: Counter[str]) -> list[dict[str, Any]]:
    shelf: dict[str, list[Passage]] = {}
    for doc in data.corpus("demo:support").docs:
        shelf[doc["id"]] = grounded.cut(doc)
    rows = []
    for one in given:
        passages = _passages(one, shelf)
        if not passages:
            counts["cites_no_article"] += 1
        elif not _numbers_stand_in(one.target, passages):
            counts["number_not_in_the_article"] += 1
        else:
            rows.append(_conversation(one, passages))
    return rows


def _passages(given: Given, shelf: Mapping[str, list[Passage]]) -> list[Passage]:
    """What the answer rested on: the cited passages as stored, else the articles of the shop."""
    found: list[Passage] = []
    for number, cited in enumerate(given.citations):
        if isinstance(cited, str):
            found += shelf.get(cited, [])
        elif cited.get("passage"):
            article = str(cited["id"])
            found.append(Passage(id=f"{article}#{number}", text=cited["passage"], article=article))
    return found


def _numbers_stand_in(answer: str, passages: Sequence[Passage]) -> bool:
    known = {n for p in passages for n in _NUMBER.findall(p.text)}
    return set(_NUMBER.findall(answer)) <= known


def _conversation(given: Given, passages: Sequence[Passage]) -> dict[str, Any]:
    turns = [Message.model_validate(turn) for turn in given.history]
    messages = [
        *turns,
        Message(role="user", content=given.text),
        Message(role="assistant", content=given.target),
    ]
    return {
        "messages": [message.model_dump() for message in messages],
        "passages": [passage.model_dump() for passage in passages],
    }


def _key(given: Given) -> str:
    return " ".join(tokens(given.text)) or given.text
