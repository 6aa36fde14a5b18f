"""support: are customers' questions answered rightly, from the right article, or else declined?

Data: a support folder, or data:squad2_small, whose questions are put to rankers that never saw
their documents. The call is SupportChat.answer with the turns before, one whole turn as the chat
makes it. A question without gold article is to be declined. Slices by language, kind and topic.
Systems: quote (the best passage), base (the model with the best prompt found on dev, or --prompt),
lora (--adapter DIR), reader (--adapter DIR; the sentence that answers); without options the
released one. --model scripted needs no weights and says nothing about a real model.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from app.core import data as references
from app.support.systems import SYSTEMS
from eval import batched, chats, questions
from eval.metrics import (
    answer_f1,
    citations,
    facts,
    grounded_share,
    refusal,
    unsupported,
    wrong_unhedged,
)
from eval.questions import Originals
from eval.samples import Sample, Scored
from eval.task import Data, Request, System, Task

if TYPE_CHECKING:
    from app.support.chat import Answer, SupportChat

BATCH = 32
"""Questions asked at once: enough to fill the model's batches, few enough to show progress."""


class Turn(NamedTuple):
    """An answer, and the articles that it cites and offers as originals of translations."""

    answer: Answer
    articles: list[str]
    near: list[str]


def read(ref: str) -> Data:
    """All questions, answerable or not; the source is the corpus."""
    corpus = references.corpus(ref)
    originals = Originals(corpus.docs)
    return Data(questions.samples(ref, corpus.queries, originals), {}, corpus)


def build(request: Request, data: Data) -> System:
    """The chat under test, over the data's articles."""
    from eval import unseen

    chat, name, identity = chats.build(request, data.source.docs)
    originals = Originals(data.source.docs)
    learnt = unseen.learnt(request.data or TASK.data)
    if learnt:
        identity["options"] |= unseen.OPTIONS

    def predict(samples: Sequence[Sample]) -> list[Turn]:
        turns: dict[str, Turn] = {}
        for fold in dict.fromkeys(unseen.fold(s) if learnt else None for s in samples):
            own = [s for s in samples if fold is None or unseen.fold(s) == fold]
            said = batched.answers(
                chat if fold is None else _of_fold(chat, fold),
                [(s.text, questions.history(s)) for s in own],
            )
            turns |= {s.id: turn(a) for s, a in zip(own, said, strict=True)}
        return [turns[s.id] for s in samples]

    def turn(said: Answer) -> Turn:
        near = originals(near.id for near in said.near)
        return Turn(said, originals(c.id for c in said.citations), near)

    return System(name, predict, identity, BATCH)


def _of_fold(chat: SupportChat, fold: int) -> SupportChat:
    """The same system over a search that never saw the documents of that fold."""
    from eval import unseen

    made = copy.copy(chat)
    made.knowledge = unseen.of_fold(chat.knowledge, fold)
    return made


def score(sample: Sample, said: Turn | None) -> Scored:
    """Facts, citations and refusal of one answer."""
    if said is None:
        return Scored(_worst(sample), {"declined": None})
    answer, gold = said.answer, set(sample.gold)
    declined, text = answer.declined, "" if answer.declined else answer.text
    scores = {"unanswerable": float(not gold), "declined": float(declined)}
    cited = [] if declined else said.articles
    scores |= citations.counts(cited, gold) | _wording(sample, text)
    scores["reached_gold"] = citations.reached(cited, said.near, gold)
    said_before = [turn["content"] for turn in sample.source.history]
    sources = [*said_before, sample.text, *(f"{c.title}\n{c.passage}" for c in answer.citations)]
    scores["answered"] = float(not declined)
    scores |= unsupported.scores(text, sources) | {"said": answer.said, "kept": answer.kept}
    scores |= wrong_unhedged.scores(
        answered=not declined,
        fact_stated=scores.get("gold_fact_recall", 0.0) > 0,
        gold_cited=scores["cited_gold"] > 0,
        hedged=answer.hedged,
    )
    told = {
        "declined": declined,
        "hedged": answer.hedged,
        "articles": said.articles,
        "near": said.near,
        "confidence": round(answer.confidence, 6),
        "finish": answer.finish,
        "notes": [note.partition(":")[0] for note in answer.notes],
    }
    return Scored(scores, told, answer.text)


def _wording(sample: Sample, text: str) -> dict[str, float]:
    """Scores of the answer's words, where the question has gold facts or answers."""
    query = sample.source
    found = {}
    if query.facts:
        found["gold_fact_recall"] = facts.gold_fact_recall(text, query.facts)
    if query.answers:
        found["answer_f1"] = answer_f1.answer_f1(text, query.answers)
    return found


def _worst(sample: Sample) -> dict[str, float]:
    """A failure is the worst case of each metric, a wrong answer here and a wrong refusal there."""
    due = len(sample.gold)
    counted = {"cited": 1.0, "gold_articles": float(due), "cited_gold": 0.0, "reached_gold": 0.0}
    wrong = {"answered": 1.0, "unsupported": 1.0, "said": 1.0, "kept": 0.0}
    wrong |= {"wrong": 1.0, "wrong_unhedged": 1.0, "hedged": 1.0}
    wrong |= {f"unsupported_{kind}": 1.0 for kind in unsupported.KINDS}
    refused = {"unanswerable": float(not due), "declined": float(bool(due))}
    return _wording(sample, "") | counted | wrong | refused


TASK = Task(
    name="support",
    summary="are customers' questions answered rightly, from the right article, or declined?",
    data="demo:support#test",
    metrics=(
        facts.METRIC, answer_f1.METRIC,
        refusal.PRECISION, refusal.RECALL, refusal.F1,
        citations.PRECISION, citations.RECALL, citations.REACH,
        unsupported.METRIC, *unsupported.BY_KIND, grounded_share.METRIC,
        wrong_unhedged.METRIC, wrong_unhedged.WRONG, wrong_unhedged.HEDGED,
    ),
    systems=SYSTEMS,
    packages=("app/support", "app/knowledge"),
    read=read,
    build=build,
    score=score,
)  # fmt: skip
