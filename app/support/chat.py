"""One turn of the support chat: question in, cited answer out, or an honest no.

    guard -> language -> running flow, or one that is asked for -> hand-off
                     `-> small talk? -> search -> sure enough? -> quote, read or let a model phrase

Flows and hand-off need a session (app.support.session); without one, only the articles answer.

Chinese questions are always quoted. Text of articles, users and models is data: it is searched,
shown and checked, never obeyed. Eval, page and HTTP call the same `turn`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.core import brief
from app.core.errors import InputError
from app.core.language import detect, simplified
from app.core.messages import Message
from app.core.prompt import DEFAULT, defuse, support_messages, template
from app.core.release import Base
from app.knowledge.retrieve import Knowledge
from app.models.base import GREEDY, ChatModel, Options
from app.models.openai_chat import Remote
from app.support import guard, modelled, phrases, reading, smalltalk
from app.support.answer import UPSET, Answer, Citation, Ending, TurnPart, cite
from app.support.finding import Found, find
from app.support.flows import heard
from app.support.flows.route import registry
from app.support.quote import Quoted, quote, render
from app.support.session import Session, converse
from app.support.systems import System

if TYPE_CHECKING:
    from app.models.encoder import TextEncoder
    from app.models.reader import Reader
    from app.support.curated import Curated

__all__ = ["Answer", "Citation", "SupportChat", "TurnPart"]

SHOWN = 3
"""Passages that the model, or the reader, is given."""
_Way = Generator[str, None, Ending]


class SupportChat:
    """Answers from articles: quoted, read or phrased by a model. Safe for several threads."""

    def __init__(
        self,
        knowledge: Knowledge,
        system: Literal["quote", "model", "reader"] = "quote",
        model: ChatModel | None = None,
        *,
        reader: Reader | None = None,
        prompt_version: str = DEFAULT,
        threshold: float | None = None,
        certain: float | None = None,
        release_id: str = "unreleased",
        options: Options = GREEDY,
        weights: Mapping[str, Base | Remote] | None = None,
    ) -> None:
        if system == "model" and model is None:
            raise InputError("system `model` needs a chat model; expected model=..., found none")
        if system == "reader" and reader is None:
            raise InputError("system `reader` needs a reader; expected reader=..., found none")
        registry()  # a flow that cannot be read is found out now, not by a customer
        self.knowledge, self.system, self.model, self.reader = knowledge, system, model, reader
        self.prompt_version = prompt_version if system == "reader" else template(prompt_version).id
        self.threshold = threshold
        """Questions of less confidence are declined; None: as fitted on dev."""
        self.certain = certain
        """Answers from articles less likely right say that they may not be what was meant; None: as
        fitted, so that the error of the others is within `max_error`."""
        self.max_error = brief.read().feature("support").max_error
        self.release_id, self.options = release_id, options
        self.curated: Curated | None = None
        """Answers that agents wrote; they come before everything else."""
        self.quotes_for_model = False
        """Whether the articles answer where the model fails; in an evaluation a failure counts."""
        self.weights = dict(weights or {})
        """By role (encoder, model): what it runs on, for reports."""

    @classmethod
    def load(
        cls,
        folder: Path,
        docs: Sequence[Mapping[str, Any]],
        *,
        model_override: str | None = None,
        options: Options = GREEDY,
    ) -> SupportChat:
        """The system released in `folder` over `docs`; see app.support.build.load."""
        from app.support import build

        return build.load(folder, docs, model_override=model_override, options=options)

    @classmethod
    def of_system(
        cls,
        system: System,
        docs: Sequence[Mapping[str, Any]],
        *,
        adapter: Path | None = None,
        model: str | None = None,
        encoder: TextEncoder | None = None,
        prompt_version: str = DEFAULT,
        threshold: float | None = None,
        span_threshold: float = 0.0,
        options: Options = GREEDY,
    ) -> SupportChat:
        """A named system over `docs`, for evaluation; see app.support.build.of_system."""
        from app.support import build

        return build.of_system(
            system, docs, adapter=adapter, model=model, encoder=encoder,
            prompt_version=prompt_version, threshold=threshold, span_threshold=span_threshold,
            options=options,
        )  # fmt: skip

    def over(self, docs: Sequence[Mapping[str, Any]]) -> SupportChat:
        """The same system over other articles; turns under way end on those they began with."""
        chat = copy(self)
        chat.knowledge = self.knowledge.over(docs)
        return chat

    @property
    def encoder(self) -> TextEncoder | None:
        """What questions are embedded with, where that is known."""
        return self.knowledge.encoder

    def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """A turn run to its end."""
        for part in self.turn(question, history):
            if part.answer is not None:
                return part.answer
        raise AssertionError("a turn ends with its answer")

    def turn(
        self,
        question: str,
        history: Sequence[Message] = (),
        cancel: threading.Event | None = None,
        session: Session | None = None,
    ) -> Iterator[TurnPart]:
        """Parts of one answer as they come; the last is done and has it whole.

        history: earlier turns, oldest first. Setting `cancel` ends the turn with what was said.
        session: the conversation, for flows and hand-off; its next memory is in the answer.
        Raises TooLarge or InputError for a question that is too long or empty, before any part.
        """
        asked = guard.clean(question)
        turns = [m for m in history if m.role != "system"]
        if session is None:
            return self._articles(asked, turns, cancel)
        return converse(
            asked, turns, session,
            lambda upset, told: self._articles(asked, turns, cancel, upset, told), self._cite,
            self._answer("", 1.0, detect(asked), Ending("stop", [], [])),
        )  # fmt: skip

    def _articles(
        self,
        asked: str,
        turns: Sequence[Message],
        cancel: threading.Event | None,
        upset: bool = False,
        language: str | None = None,
    ) -> Iterator[TurnPart]:
        """An answer from the articles alone; where they have none, understanding for the upset.

        language: of the conversation, for what is said to "OK"; otherwise that of the question.
        """
        written = self.curated.find(asked) if self.curated else None
        if written:
            return self._told(_say(written.answer, f"curated: {written.id}"), 1.0, asked)
        said = smalltalk.small_talk(asked, language)
        if said:
            return self._told(_say(said), 1.0, asked)
        asked = simplified(smalltalk.without_small_talk(asked))
        turns = _bare(turns)
        found = find(self.knowledge, asked, turns, SHOWN, self._certain)
        near = found if found.right < self._certain(found) else None
        speaks = language or detect(asked)
        if not found.passages or found.sure < self._floor(found) or (upset and near):
            return self._told(self._decline(speaks, found, upset), found.sure, asked)
        way = self._way(asked, turns, found, cancel, near, upset, speaks)
        return self._told(way, found.sure, asked, near)

    def _floor(self, found: Found) -> float:
        """The confidence below which this question is declined."""
        return found.weights.threshold if self.threshold is None else self.threshold

    def _certain(self, found: Found) -> float:
        """How right what was found has to be, so that an answer stands without a hedge."""
        return found.weights.certain(self.max_error) if self.certain is None else self.certain

    def _way(
        self,
        asked: str,
        turns: Sequence[Message],
        found: Found,
        cancel: threading.Event | None,
        near: Found | None,
        upset: bool,
        speaks: str,
    ) -> _Way:
        """Quoting, or reader or model where they may speak; their decline is ours.

        near: what is offered beside an answer that may not be what was meant, and says so.
        """
        hedge = phrases.HEDGE[detect(asked)] if near is not None else ""
        if self.system == "quote":
            return (yield from _hedged(self._quote(found, cancel), hedge))
        if detect(asked) == "zh":
            ending = yield from _hedged(self._quote(found, cancel), hedge)
            return ending._replace(notes=["quoted: the model is not cleared for Chinese"])
        if self.system == "reader":
            read = self._read(asked, found)
            if read:
                return (yield from _hedged(_render(read), hedge))
            return (yield from self._decline(speaks, found, upset, "the reader found no answer"))
        assert self.model is not None
        # A question that stands alone is asked alone, as the model was trained.
        before = turns if found.question != asked else ()
        messages = support_messages(
            asked, found.passages, history=before, version=self.prompt_version
        )
        try:
            said = modelled.speak(self.model, messages, found.passages, asked, self.options, cancel)
            return (yield from _hedged(said, hedge))
        except modelled.Declined:
            return (yield from self._decline(speaks, found, upset, "the model found no answer"))
        except modelled.Silent as silent:
            if not self.quotes_for_model:
                raise silent.failed from None
            ending = yield from _hedged(self._quote(found, cancel), hedge)
            return ending._replace(notes=["quoted: the model failed"])

    def _quote(self, found: Found, cancel: threading.Event | None) -> _Way:
        """The best articles' own words, a paragraph at a time."""
        quoted = quote(found.ranking, found.question, found.articles)
        for number, piece in enumerate(render(quoted)):
            if cancel is not None and cancel.is_set():
                return Ending("cancelled", cite(q.passage for q in quoted[:number]), [])
            yield defuse(piece)
        return Ending("stop", cite(q.passage for q in quoted), [])

    def _read(self, asked: str, found: Found) -> list[Quoted]:
        """The sentences that hold what the reader finds."""
        assert self.reader is not None
        alone = found.question == asked
        return reading.read(self.reader, found.passages, found.question, alone=alone)

    def _decline(self, language: str, found: Found, upset: bool, *notes: str) -> _Way:
        """An honest no; near misses name the closest articles. Understanding, for the upset."""
        if upset:
            yield phrases.understand(language)
            return Ending("stop", [], [UPSET, *notes])
        near = found.near(self.threshold) if found.passages else []
        yield defuse(phrases.decline(language, [n.title for n in near]))
        return Ending("declined", [], list(notes), near=near)

    def _told(
        self, way: _Way, sure: float, asked: str, found: Found | None = None
    ) -> Iterator[TurnPart]:
        """The pieces of `way` as parts, then the whole answer; `found` has others to choose."""
        said = ""
        with closing(way):
            while True:
                try:
                    piece = next(way)
                except StopIteration as stop:
                    ending: Ending = stop.value
                    break
                said += piece
                yield TurnPart(piece)
        hedged = found is not None and ending.finish != "declined"
        if found is not None and ending.finish in ("stop", "length"):
            cited = {citation.id for citation in ending.citations}
            ending = ending._replace(near=found.near(self.threshold, cited))
        yield TurnPart("", True, self._answer(said, sure, detect(asked), ending, hedged=hedged))

    def _answer(
        self, said: str, sure: float, language: str, ending: Ending, *, hedged: bool = False
    ) -> Answer:
        return Answer(
            text=said,
            citations=ending.citations,
            declined=ending.finish == "declined",
            confidence=sure,
            language=language,
            finish=ending.finish,
            notes=ending.notes,
            system=self.system,
            release=self.release_id,
            said=ending.said,
            kept=ending.kept,
            hedged=hedged,
            near=ending.near,
        )

    def _cite(self, article: str) -> list[Citation]:
        """An article as a source; empty where the shop has none of this id."""
        return cite(self.knowledge.article(article))


def _hedged(way: _Way, hedge: str) -> _Way:
    """`way` after `hedge`, where there is one; where it ends without a word, nothing is said."""
    with closing(way):
        if hedge:
            try:
                first = next(way)
            except StopIteration as stop:
                ending: Ending = stop.value
                return ending
            yield f"{hedge}\n\n{first}"
        return (yield from way)


def _bare(turns: Sequence[Message]) -> list[Message]:
    """What was said, without order numbers and addresses, which no article is about."""
    said = [
        turn.model_copy(update={"content": heard.words(turn.content)})
        if turn.role == "user" else turn
        for turn in turns
    ]  # fmt: skip
    return [turn for turn in said if any(map(str.isalnum, turn.content))]


def _render(quoted: Sequence[Quoted]) -> _Way:
    for piece in render(quoted):
        yield defuse(piece)
    return Ending("stop", cite(q.passage for q in quoted), [])


def _say(text: str, *notes: str) -> _Way:
    yield text
    return Ending("stop", [], list(notes))
