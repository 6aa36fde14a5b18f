"""One turn of the flows over a conversation's memory: what is the same for all of them.

    in danger? -> offered a person? -> wants one? -> say it again? -> running flow -> another flow
                                                                   -> articles

Identity comes before anything about an order: its number and its e-mail address, looked up
together. A change is asked for, and made after a yes with the flow's key: the same yes again (the
process was killed before the answer was stored) makes no second one. What is changed after the
question gets a new key and is asked for again, as is what was left open for another matter:
"thanks" to an answer in between is no yes to the question before it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from uuid import uuid4

import structlog

from app.core.commerce import OrderView
from app.core.errors import AppError
from app.core.memory import Memory, Running
from app.support import danger, smalltalk
from app.support.flows import agreement, heard, words
from app.support.flows.base import Flow, Said, Talk, Tools
from app.support.flows.route import registry, route

log = structlog.get_logger(__name__)
CONFIRMATION = "confirmation"
WHO = ("order", "email")
MAX_PAUSED = 3
_OBJECTS = re.compile(
    r"\bwho(?:se)?\b.{0,30}\b(?:orders?|ordered|it|is)\b|\bwhy (?:can'?t|cannot|not|won'?t|"
    r"do you)\b"
    r"|\bexception\b|\bwithout (?:the |an |my |his |her )?e-?mail\b|\b(?:must|should) be enough\b"
    r"|谁.{0,3}(?:下|的|订)|为什么|凭什么|不能告诉",
    re.IGNORECASE,
)
_SOMEBODY = re.compile(
    r"\b(?:is there|isn't there|who can|whom can)\b.{0,20}\b(?:nobody|no one|anybody|anyone|"
    r"someone|"
    r"somebody|i)\b.{0,15}\b(?:ask|talk|speak|turn|call)\b|有(?:没有)?.{0,3}人.{0,4}(?:可以|能)问",
    re.IGNORECASE,
)


class Step(NamedTuple):
    """What the flows make of a message."""

    said: Said | None
    """None: the articles are to answer."""
    memory: Memory
    intent: str
    """A flow's name, question, small_talk or emergency."""
    after: Said | None = None
    """What is said after the articles' answer, where a flow waits."""
    open: bool = False
    """Whether the answer asks something that the customer got this far to be asked."""
    failed: bool = False
    """Whether the shop's system did not answer."""


def step(text: str, language: str, memory: Memory, tools: Tools, last: str = "") -> Step:
    """The next step of the conversation; `memory` itself is left as it was.

    last: the answer before, which "repeat that" says again where it was a flow's. The title of an
    article that was offered is for the articles, whatever flow its words would start.
    """
    return _Turn(text, language, memory.model_copy(deep=True), tools, last).run()


def offer(memory: Memory, reason: str, language: str) -> Said:
    """Offer a person: a yes hands over, a no goes on, anything else lets the offer lapse."""
    if memory.running:
        memory.paused.append(memory.running)
    memory.running = Running(
        flow="human", key=uuid4().hex, slots={"why": reason}, asks=CONFIRMATION
    )
    pair = words.OFFER_MOOD if reason == "mood" else words.OFFER
    return words.said(pair, language, words.YES, words.NO)


class _Turn:
    def __init__(self, text: str, language: str, memory: Memory, tools: Tools, last: str) -> None:
        self.text, self.language, self.memory, self.tools = text, language, memory, tools
        self.last = last
        self.order: OrderView | None = None

    def run(self) -> Step:
        """See the module."""
        memory = self.memory
        warning = danger.emergency(self.text, self.language)
        if warning:
            if memory.running:
                memory.running.aside = True
            said = Said(warning, (), [words.of(words.HUMAN, self.language)])
            return Step(said, memory, "emergency")
        if memory.running and memory.running.flow not in registry():
            memory.running = None  # a flow that this version does not have any more
        if memory.running and memory.running.flow == "human":
            answered = self._offered()
            if answered:
                return answered
        if self.text in memory.near:
            return self._articles()
        flow = route(self.text, self.tools)
        if flow and flow.name == "human":
            return Step(flow.do(self._talk(self._new(flow))), memory, flow.name)
        if self.last and heard.again(self.text) and memory.intent in registry():
            return Step(Said(self.last), memory, str(memory.intent), open=True)
        if memory.running:
            try:
                return self._running(flow)
            except AppError as error:
                return self._failed(error)
        if flow:
            return self._begin(flow)
        if _SOMEBODY.search(heard.plain(self.text)):
            return Step(words.said(words.SOMEBODY, self.language, words.HUMAN), memory, "human")
        return self._articles()

    # A person that was offered ------------------------------------------------------------------

    def _offered(self) -> Step | None:
        offered = self.memory.running
        assert offered is not None
        self.memory.running = self.memory.paused.pop() if self.memory.paused else None
        if registry()["human"].agrees(self.text):
            why = offered.slots.get("why", "asked")
            return Step(
                Said("", handoff="mood" if why == "mood" else "low_confidence"),
                self.memory,
                "human",
            )
        if agreement.no(self.text):
            if self.memory.running:
                return self._again(words.of(words.REFUSED_OFFER, self.language))
            return Step(words.said(words.DROPPED, self.language), self.memory, "human")
        return None

    # A flow under way ---------------------------------------------------------------------------

    def _running(self, wanted: Flow | None) -> Step:
        running, flow = self._now()
        free = running.asks in flow.free
        other = wanted if wanted and wanted.name != running.flow and not free else None
        if other and not any(map(str.isalpha, heard.words(self.text))):
            other = None  # a number alone belongs to the flow that asked for it
        if running.asks == CONFIRMATION:
            if not wanted and heard.question(self.text) and self._names_another():
                return self._articles()
            return self._confirmation(other)
        if agreement.drops(self.text) if free else agreement.stops(self.text):
            return self._drop(other)
        return self._begin(other) if other else self._fill()

    def _fill(self) -> Step:
        running, flow = self._now()
        took = flow.identifies and self._note()
        if running.asks and running.asks not in (WHO if flow.identifies else ()):
            if flow.identifies:
                self.order = self._found()
            value = flow.read(running.asks, self._talk(running)) if self._known(flow) else None
            if value:
                running.slots[running.asks] = value
                took = True
        if took:
            running.tries = 0
            return self._advance()
        if agreement.goes_on(self.text):
            return self._advance()
        return self._aside(flow, running)

    def _aside(self, flow: Flow, running: Running) -> Step:
        """What does not answer the question: a slip, an objection, another matter, small talk."""
        who = flow.identifies and running.asks in WHO
        meant = heard.nearly(self.text) if running.asks == "order" else None
        if meant is not None:
            running.tries += 1
            said = words.said(words.MISTYPED, self.language)
            return self._step(said._replace(quick=[meant] if meant else []))
        if who and _OBJECTS.search(heard.plain(self.text)):
            running.tries += 1
            return self._again()
        if heard.question(self.text):
            return self._articles()
        small = smalltalk.small_talk(self.text, self.language)
        if small:
            after = self._open()
            return Step(after._replace(text=f"{small}\n\n{after.text}"), self.memory, "small_talk")
        running.tries += 1
        return self._again()

    def _confirmation(self, other: Flow | None) -> Step:
        running, flow = self._now()
        if other and (heard.question(self.text) or self._names_another()):
            return self._begin(other)
        before = dict(running.slots)
        if flow.identifies:
            self._note()
            if running.slots == before:
                self.order = self._found()
                fixed = flow.correct(self._talk(running)) if self.order else {}
                running.slots.update(fixed)
        if running.slots != before:
            running.key = uuid4().hex  # another change than the one that was asked about
            return self._advance()
        refused = agreement.no(self.text) or agreement.stops(self.text)
        if running.aside and not refused and smalltalk.small_talk(self.text, self.language):
            return self._aside(flow, running)
        if flow.agrees(self.text):
            return self._advance() if running.aside else self._do()
        if refused:
            if other or heard.question(self.text):
                return self._drop(other)
            return self._end(Said(flow.kept(self._talk(running))))
        if other:
            return self._begin(other)
        return self._aside(flow, running)

    # Steps --------------------------------------------------------------------------------------

    def _begin(self, flow: Flow) -> Step:
        memory = self.memory
        waiting = [memory.running] if memory.running else []
        paused = [r for r in [*memory.paused, *waiting] if r.flow != flow.name]
        memory.paused = paused[-MAX_PAUSED:]
        running = memory.running = self._new(flow)
        if flow.identifies:
            self._note()
            if "order" not in running.slots and self._means_the_known(waiting):
                running.slots.update(zip(WHO, next(iter(memory.identified.items())), strict=True))
        running.slots.update(flow.prefill(self._talk(running)))
        return self._advance()

    def _advance(self) -> Step:
        """To the next question, or to the end."""
        running, flow = self._now()
        try:
            if flow.identifies:
                refused = self._identify()
                if refused:
                    return refused
                early = flow.early(self._talk(running))
                if early:
                    return self._end(early)
            talk = self._talk(running)
            for slot in flow.slots:
                if flow.needs(slot, talk):
                    running.asks = slot
                    return self._step(flow.ask(slot, talk))
            question = flow.confirm(talk)
        except AppError as error:
            return self._failed(error)
        if question is None:
            return self._do()
        running.asks, running.aside = CONFIRMATION, False
        return self._step(
            Said(
                question,
                (),
                [words.of(words.YES, self.language), words.of(words.NO, self.language)],
            )
        )

    def _identify(self) -> Step | None:
        """Asks for what is missing; None once the order is found."""
        running, _ = self._now()
        missing = [slot for slot in WHO if not running.slots.get(slot)]
        if missing:
            first = running.asks is None
            running.asks = missing[0]
            several = heard.several(self.text) if "order" in missing else []
            if several:
                return self._step(words.said(words.WHICH, self.language)._replace(quick=several))
            meant = heard.nearly(self.text) if "order" in missing else None
            if meant is not None:
                said = words.said(words.MISTYPED, self.language)
                return self._step(said._replace(quick=[meant] if meant else []))
            lead = f"{words.of(words.GLADLY, self.language)} " if first else ""
            return self._step(Said(lead.lstrip() + self._ask_who(missing)))
        self.order = self._found()
        if self.order is None:
            self.memory.identified.pop(running.slots["order"], None)
            running.slots.pop("email")
            running.asks, running.tries = "order", running.tries + 1
            return self._step(words.said(words.NOT_FOUND, self.language, words.HUMAN))
        running.slots["order"] = self.order.id
        self.memory.identified[self.order.id] = running.slots["email"]
        return None

    def _do(self) -> Step:
        running, flow = self._now()
        try:
            if flow.identifies and self.order is None:
                refused = self._identify()
                if refused:
                    return refused
            return self._end(flow.do(self._talk(running)))
        except AppError as error:
            return self._failed(error)

    def _failed(self, error: AppError) -> Step:
        """The flow stays where it is, with its key: the same again is no second change."""
        log.warning("flow_failed", flow=self._now()[0].flow, code=error.code)
        return self._step(words.said(words.NO_SYSTEM, self.language))._replace(failed=True)

    def _end(self, said: Said) -> Step:
        running, _ = self._now()
        self.memory.running = self.memory.paused.pop() if self.memory.paused else None
        if self.memory.running and said.handoff is None:
            after = self._open()
            said = said._replace(text=f"{said.text}\n\n{after.text}", quick=after.quick)
        elif said.handoff:
            self.memory.paused = [*self.memory.paused, *filter(None, [self.memory.running])]
            self.memory.running = running  # for the packet; the hand-off ends it
        return Step(said, self.memory, running.flow)

    def _drop(self, other: Flow | None) -> Step:
        running, _ = self._now()
        self.memory.running = self.memory.paused.pop() if self.memory.paused else None
        if other:
            return self._begin(other)
        if heard.question(self.text):
            return self._articles()
        said = words.said(words.DROPPED, self.language)
        if self.memory.running:
            after = self._open()
            said = said._replace(text=f"{said.text}\n\n{after.text}", quick=after.quick)
        return Step(said, self.memory, running.flow)

    def _again(self, lead: str = "") -> Step:
        """The question that is open, once more, with a way to a person where who it is is asked."""
        running, flow = self._now()
        if flow.identifies and running.asks in WHO:
            missing = [slot for slot in WHO if not running.slots.get(slot)] or list(WHO)
            text = f"{self._ask_who(missing)} {words.of(words.OTHERWISE, self.language)}"
            said = Said(text, (), [words.of(words.HUMAN, self.language)])
        elif running.asks == CONFIRMATION:
            if flow.identifies and self.order is None:
                return self._advance()
            question, running.aside = flow.confirm(self._talk(running)) or "", False
            yes_or_no = words.said(words.YES_OR_NO, self.language, words.YES, words.NO)
            said = yes_or_no._replace(text=f"{question} {yes_or_no.text}")
        else:
            return self._advance()
        return self._step(said._replace(text=f"{lead} {said.text}".strip()))

    def _articles(self) -> Step:
        small = smalltalk.small_talk(self.text, self.language)
        after = self._open() if self.memory.running else None
        return Step(None, self.memory, "small_talk" if small else "question", after)

    # Small things -------------------------------------------------------------------------------

    def _note(self) -> bool:
        """Take the order number and the e-mail address that the message tells.

        Of two orders neither is taken, nor one that is mistyped in place of one known before.
        Where any words are asked for, numbers among them are a part of the story, unless they
        stand alone or take back what was said.
        """
        running, flow = self._now()
        slots, before = running.slots, dict(running.slots)
        if running.asks in flow.free and not self._is_about_who():
            return False
        numbers = heard.orders(self.text, bare=running.asks == "order")
        if len(numbers) == 1 or (numbers and heard.corrects(self.text)):
            if slots.get("order") not in (None, numbers[-1]):
                self._forget(flow, slots)
            slots["order"] = numbers[-1]
        elif numbers or heard.nearly(self.text) is not None or heard.other_order(self.text):
            self._forget(flow, slots)
        slots["email"] = heard.email(self.text) or slots.get("email", "")
        if not slots["email"]:
            slots["email"] = self.memory.identified.get(slots.get("order", ""), "")
        if not slots["email"]:
            del slots["email"]
        return slots != before or len(numbers) == 1 or heard.email(self.text) is not None

    def _is_about_who(self) -> bool:
        """Whether the message is a number or an address alone, or corrects the one given."""
        alone = not any(map(str.isalpha, heard.words(self.text)))
        return alone or agreement.corrects_order(self.text)

    def _names_another(self) -> bool:
        """Whether an order is named that is not the one talked of."""
        running, _ = self._now()
        return any(number != running.slots.get("order") for number in heard.orders(self.text))

    def _means_the_known(self, waiting: list[Running]) -> bool:
        """Whether a flow without an order number is about the only order identified so far.

        Not where a number was given that is none, where another order is meant, or where a flow
        that waits is about another one.
        """
        known = list(self.memory.identified)
        talked_of = {r.slots["order"] for r in waiting if r.slots.get("order")}
        return (
            len(known) == 1 and talked_of <= set(known) and heard.nearly(self.text) is None
            and not heard.orders(self.text) and not heard.other_order(self.text)
        )  # fmt: skip

    def _forget(self, flow: Flow, slots: dict[str, str]) -> None:
        for slot in ("order", *flow.of_order):
            slots.pop(slot, None)

    def _found(self) -> OrderView | None:
        running, _ = self._now()
        order, email = running.slots.get("order"), running.slots.get("email")
        if not order or not email or self.tools.commerce is None:
            return None
        return self.tools.commerce.find(order, email)

    def _known(self, flow: Flow) -> bool:
        return not flow.identifies or self.order is not None

    def _ask_who(self, missing: list[str]) -> str:
        pair = (
            words.BOTH
            if len(missing) == 2
            else {"order": words.NUMBER, "email": words.EMAIL}[missing[0]]
        )
        return words.of(pair, self.language)

    def _open(self) -> Said:
        running, flow = self._now()
        running.aside = True
        pair = words.OPEN
        said = words.said(pair, self.language, words.GO_ON, words.NEVER_MIND)
        return said._replace(text=said.text.format(flow=words.of(flow.title, self.language)))

    def _new(self, flow: Flow) -> Running:
        return Running(flow=flow.name, key=uuid4().hex)

    def _now(self) -> tuple[Running, Flow]:
        running = self.memory.running
        assert running is not None
        return running, registry()[running.flow]

    def _talk(self, running: Running) -> Talk:
        return Talk(self.text, self.language, running, self.tools, self.order)

    def _step(self, said: Said) -> Step:
        running, _ = self._now()
        return Step(said, self.memory, running.flow, open=running.tries == 0)
