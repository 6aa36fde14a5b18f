"""A turn within a conversation: flows first, then the articles, then whether a person comes in.

What must be remembered goes into Answer.memory; whoever stores the answer stores it with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from app.core.commerce import Commerce
from app.core.desk import Desk, Reason, Said
from app.core.memory import Memory
from app.core.messages import Message
from app.core.prompt import defuse
from app.support import handoff, mood
from app.support.answer import UPSET, Answer, Citation, TurnPart
from app.support.flows import engine, heard, words
from app.support.flows.base import Tools
from app.support.flows.route import registry
from app.support.mood import Mood

if TYPE_CHECKING:
    from app.recommend.shop import Shop

MAX_MOODS = 20
Articles = Callable[[bool, str], Iterator[TurnPart]]
QUIET = ("small_talk",)
"""Intents that neither answer nor decline: they leave the count of declines as it is."""


class Helpers(NamedTuple):
    """What a turn may use beside the articles; what is not there is done without."""

    commerce: Commerce | None = None
    desk: Desk | None = None
    mood: Mood | None = None
    shop: Callable[[], Shop | None] = lambda: None


class Session(NamedTuple):
    """The conversation that a turn belongs to."""

    owner: str
    conversation_id: str
    message_id: str = ""
    """Of the answer."""
    memory: Memory = Memory()
    language: str = "en"
    """Of the page: that of a first message without words."""
    helpers: Helpers = Helpers()


def converse(
    asked: str,
    history: Sequence[Message],
    session: Session,
    articles: Articles,
    cite: Callable[[str], list[Citation]],
    blank: Answer,
) -> Iterator[TurnPart]:
    """The parts of one turn; the last has the answer with intent, hand-off, replies and memory.

    articles: answers from them, told whether the customer is upset and asks nothing, and the
    conversation's language.
    blank: an answer that says nothing, with what is the same for all.
    """
    return _Turn(asked, history, session, cite, blank).parts(articles)


class _Turn:
    def __init__(
        self,
        asked: str,
        history: Sequence[Message],
        session: Session,
        cite: Callable[[str], list[Citation]],
        blank: Answer,
    ) -> None:
        self.asked, self.history, self.session, self.blank = asked, history, session, blank
        language = session.language
        for text in (*(m.content for m in history if m.role == "user"), asked):
            language = heard.language(text, language)
        self.language = language
        helpers = session.helpers
        memory = session.memory.model_copy(deep=True)
        if helpers.mood is not None:
            memory.moods = [*memory.moods, helpers.mood(asked)][-MAX_MOODS:]
        last = next((m.content for m in reversed(history) if m.role == "assistant"), "")
        tools = Tools(helpers.commerce, helpers.shop, cite)
        self.step = engine.step(asked, language, memory, tools, last)
        self.memory = self.step.memory
        self.memory.intent = self.step.intent

    def parts(self, articles: Articles) -> Iterator[TurnPart]:
        """See `converse`."""
        step = self.step
        if step.said is None:
            answer = yield from self._from_articles(articles)
            if answer.finish == "cancelled":
                self.memory.offered, self.memory.near = [], []
                yield TurnPart("", True, answer._replace(intent=step.intent, memory=self.memory))
                return
            self._count(answer)
            told, quick = "", self._quick(answer)
        else:
            self.memory.declined = 0
            answer = self.blank._replace(
                text=defuse(step.said.text), citations=list(step.said.citations),
                language=self.language,
            )  # fmt: skip
            # Said with the last part: what a flow did is stored before anybody can stop listening.
            told, quick = answer.text, list(step.said.quick)
        more, ticket, replies = self._more(answer)
        if more:
            said = f"\n\n{more}" if answer.text else more
            answer = answer._replace(text=answer.text + said)
            told += said
        self.memory.offered = replies or quick
        self.memory.near = [n.title for n in answer.near if n.title in self.memory.offered]
        yield TurnPart(told, True, answer._replace(
            intent=step.intent, handoff=ticket, quick=self.memory.offered, memory=self.memory,
        ))  # fmt: skip

    def _from_articles(self, articles: Articles) -> Generator[TurnPart, None, Answer]:
        with closing(articles(self._upset(), self.language)) as parts:  # type: ignore[type-var]
            for part in parts:
                if part.answer is not None:
                    return part.answer
                yield part
        raise AssertionError("a turn ends with its answer")

    def _upset(self) -> bool:
        moods = self.memory.moods
        return bool(moods) and moods[-1] <= mood.UPSET and not heard.question(self.asked)

    def _count(self, answer: Answer) -> None:
        if self.step.intent not in QUIET and UPSET not in answer.notes:
            self.memory.declined = self.memory.declined + 1 if answer.declined else 0

    def _more(self, answer: Answer) -> tuple[str, str | None, list[str]]:
        """What is said behind the answer: a hand-off, an offer of one, or that a flow waits."""
        step = self.step
        wanted = step.said.handoff if step.said else None
        if wanted:
            return (*self._hand_over(wanted, answer), [])
        decision = handoff.decide(self.memory, failed=step.failed)
        if decision and decision.at_once:
            return (*self._hand_over(decision.reason, answer), [])
        if decision and not step.open and self._may_offer():
            offered = engine.offer(self.memory, decision.reason, self.language)
            return offered.text, None, list(offered.quick)
        return (step.after.text, None, list(step.after.quick)) if step.after else ("", None, [])

    def _may_offer(self) -> bool:
        """Who must be identified is told of a person in words: a yes could be taken for more."""
        running = self.memory.running
        return running is None or running.tries == 0 or running.asks not in engine.WHO or (
            self.session.helpers.mood is not None and mood.sunk(self.memory.moods)
        )  # fmt: skip

    def _hand_over(self, reason: Reason, answer: Answer) -> tuple[str, str | None]:
        """Deliver, and only then promise a person. The flow under way ends with it."""
        said = [Said(role=m.role, content=m.content) for m in self.history if m.role != "system"]
        said.append(Said(role="user", content=self.asked))
        packet = handoff.packet(
            reason, self.language, self.memory, said, [c._asdict() for c in answer.citations]
        )
        session = self.session
        ticket, sentence = handoff.deliver(
            session.helpers.desk, session.owner, session.conversation_id, packet
        )
        if ticket is None:
            return sentence, None
        if reason != "failure":
            self.memory.running, self.memory.paused = None, []
        self.memory.ticket, self.memory.declined = ticket, 0
        return sentence, ticket

    def _quick(self, answer: Answer) -> list[str]:
        """The way into the flow whose own article answered, and articles that could be meant."""
        titles = [near.title for near in answer.near]
        if answer.declined or UPSET in answer.notes:
            return [*titles, words.of(words.HUMAN, self.language)]
        cited = {citation.id for citation in answer.citations}
        helpers = self.session.helpers
        tools = Tools(helpers.commerce, helpers.shop)
        flows = [
            words.of(flow.offer, self.language)
            for flow in registry().values()
            if flow.offer and cited & set(flow.article or ()) and flow.available(tools)
        ]
        return [*flows, *titles]
