"""Whether an engine says what the merged weights say: greedy text, and token by token.

Asked one after the other and all at once, as it serves: OpenVINO 2026.4.1 in f16 was right alone
and wrong in every token of eight at once.

Asked are the demo's dev questions over passages, in the chat's own prompt: neither trained on nor
tested on. A place where the merged weights themselves hesitate (TIE) excuses a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.core import data
from app.core.errors import AppError
from app.core.messages import Message, Passage
from app.core.prompt import support_messages

if TYPE_CHECKING:
    from app.models.transformers_chat import TransformersChat

PROBE, QUESTIONS, WRITTEN = "demo:support#dev", 12, 24
AGREEMENT = 0.99
"""Of the next tokens, given the merged weights' own answers."""
TIE = 1e-2
"""Between the two largest logits."""
Parity = dict[str, float | int | str]


class Engine(Protocol):
    """What parity asks an engine."""

    def predicted(self, prompt: Sequence[int], answer: Sequence[int]) -> list[int]:
        """The likeliest token at each place of `answer`."""
        ...

    def answers(self, prompts: Sequence[Sequence[int]], count: int) -> list[list[int]]:
        """Greedy answers to all at once, `count` tokens at most each."""
        ...


class Unequal(AppError):
    """An engine that answers otherwise than what was evaluated."""

    code = "parity"


class _Reference(NamedTuple):
    """What the merged weights say to one question."""

    prompt: Sequence[int]
    answer: Sequence[int]
    tied: Sequence[bool]
    """Where the two likeliest tokens are all but equal."""


class Probe:
    """The merged weights in fp32 and what they say; asked of every engine."""

    def __init__(self, merged: TransformersChat, asked: Sequence[Sequence[Message]]) -> None:
        self._merged = merged
        self._said = [_reference(merged, messages) for messages in asked]

    def compare(self, engine: Engine, *, exact: bool) -> Parity:
        """top1_agreement (one after the other), at_once (all at once), text_equal; n, probe.

        Shares of n tokens, of its own answers' tokens, and of the texts. exact: texts have to be
        equal. Raises Unequal, with the numbers, for an engine that may not serve.
        """
        same = [flag for one in self._said for flag in _agreement(engine, one)]
        said = engine.answers([one.prompt for one in self._said], WRITTEN)
        pairs = list(zip(self._said, said, strict=True))
        together = [flag for one, answer in pairs for flag in self._likeliest(one.prompt, answer)]
        equal = [_same_text(answer, one) for one, answer in pairs]
        agreement, at_once, texts = (sum(x) / max(len(x), 1) for x in (same, together, equal))
        if min(agreement, at_once) < AGREEMENT or (exact and texts < 1):
            raise Unequal(
                f"expected {AGREEMENT:.0%} of next tokens as the merged weights give them"
                f"{' and the same greedy texts' if exact else ''}, found {agreement:.1%} of "
                f"{len(same)} tokens, {at_once:.1%} with all asked at once, and {texts:.0%} of "
                f"{len(equal)} texts: the adapter is not in what this engine runs, or it computes "
                "otherwise"
            )
        return {
            "top1_agreement": round(agreement, 4), "at_once": round(at_once, 4),
            "text_equal": round(texts, 4), "n": len(same), "probe": PROBE,
        }  # fmt: skip

    def _likeliest(self, prompt: Sequence[int], answer: Sequence[int]) -> list[bool]:
        """Whether each token of `answer` is the merged weights' likeliest, or all but."""
        if not answer:
            return []
        logits = self._merged.logits(prompt, answer)
        best = logits.max(-1).values.tolist()
        own = [float(row[token]) for row, token in zip(logits, answer, strict=True)]
        return [top - mine < TIE for top, mine in zip(best, own, strict=True)]


def asked(version: str) -> list[list[Message]]:
    """QUESTIONS of the probe, each over the first paragraph of its article, by prompt `version`."""
    corpus = data.corpus(PROBE)
    texts = {str(doc["id"]): str(doc["text"]).split("\n\n")[0] for doc in corpus.docs}
    answered = [q for q in corpus.queries if q.gold and not q.history][:QUESTIONS]
    return [
        support_messages(q.text, [Passage(id=q.gold[0], text=texts[q.gold[0]])], version=version)
        for q in answered
    ]


def _reference(merged: TransformersChat, messages: Sequence[Message]) -> _Reference:
    prompt = merged.prompt_ids(messages)
    answer = merged.greedy(prompt, WRITTEN)
    top = merged.logits(prompt, answer).topk(2).values.tolist()
    return _Reference(prompt, answer, [first - second < TIE for first, second in top])


def _agreement(engine: Engine, one: _Reference) -> list[bool]:
    found = engine.predicted(one.prompt, one.answer)
    return [a == b or tie for a, b, tie in zip(found, one.answer, one.tied, strict=True)]


def _same_text(said: Sequence[int], one: _Reference) -> bool:
    """Whether the answers are equal, or part at a tie."""
    parts = (n for n, (a, b) in enumerate(zip(said, one.answer, strict=False)) if a != b)
    at = next(parts, None)
    return len(said) == len(one.answer) if at is None else one.tied[at]
