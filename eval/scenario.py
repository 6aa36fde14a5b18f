"""A conversation as data: who the customer is, what a good answer does, what the shop's books hold
afterwards.

One YAML file a scenario, named for its subject. The customer is rules (eval.customer), the judge
too (eval.checks); no model takes part but the one under test. What holds in every conversation
(numbers rest on sources, nobody's data leaks, nothing changes unasked) needs no line here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from app.core.config import Strict, parse, read_yaml
from app.core.errors import InputError

Kind = Literal[
    "plain", "follow_up", "vague", "correction", "change_of_mind", "digression", "two_part",
    "angry", "human", "chinese", "small_talk", "typos", "unanswerable", "injection",
    "control_tokens", "others_order", "interrupted", "flow",
]  # fmt: skip
Fact = Literal["order", "email", "name", "address", "item", "reason"]
Asked = Literal["order", "email", "name", "address", "item", "reason", "confirmation"]
Guard = Literal[
    "citation", "decline", "grounding", "control_tokens", "memory",
    "identity", "confirmation", "hand_off",
]  # fmt: skip
"""A part of the product without which the scenario must fail: what mutation tests take out."""
GUARDS: tuple[str, ...] = get_args(Guard)
_PLACE = re.compile(r"\{(\w+)\}")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression ({error})") from error
    return text


Regex = Annotated[str, AfterValidator(_regex)]
"""Searched for without case."""


class Expect(Strict):
    """What the answer to one line of the customer's must be like."""

    cites: tuple[str, ...] = ()
    """Articles, all of them cited; a translation is its original."""
    states: tuple[str, ...] = ()
    """Facts, all of them stated; "a|b" are spellings of one (eval.metrics.facts)."""
    matches: tuple[Regex, ...] = ()
    lacks: tuple[Regex, ...] = ()
    asks: tuple[Asked, ...] = ()
    """What it asks the customer for."""
    declines: bool | None = None
    """Whether it says that it does not know; None: either."""
    offers_person: bool = False
    """Whether it names a way to a human being."""
    stopped: bool = False
    """Whether it must have ended when the customer stopped it."""
    language: Literal["en", "zh"] | None = None
    """None: the scenario's."""


class Line(Strict):
    """Something the customer says once; without `when` and `asked`, when nothing else is due."""

    says: list[str] = Field(min_length=1)
    """Phrasings, one of them drawn by the seed; {order} and the like are filled in from `knows`."""
    when: Regex | None = None
    """Said only in reply to an answer that has this."""
    asked: Asked | None = None
    """Said only in reply to an answer that asks for this."""
    optional: bool = False
    """Whether all is well when what it waits for is never said; else that is a failure."""
    does: Literal["stop", "restart"] | None = None
    """stop: stops the answer after its first words; restart: the server restarts before."""
    expect: Expect = Expect()

    @property
    def reacts(self) -> bool:
        """Whether it waits for something that the assistant says."""
        return self.when is not None or self.asked is not None


class Customer(Strict):
    """Who writes: what is told when asked for, how patiently, and what is said in which order."""

    knows: dict[Fact, str] = Field(default_factory=dict)
    """Told, at most twice, when the assistant asks for it."""
    confirms: bool | None = None
    """Yes or no when asked to confirm; None: has no answer to that."""
    typos: float = Field(0.0, ge=0, le=0.5)
    """Share of the longer words that are mistyped, by the seed."""
    patience: int = Field(10, ge=1, le=18)
    """Messages after which the customer gives up, which no scenario passes; the product's own
    limit is 20 a minute."""
    lines: list[Line] = Field(min_length=1)

    @field_validator("lines")
    @classmethod
    def _opens(cls, lines: list[Line], info: ValidationInfo) -> list[Line]:
        if lines[0].reacts:
            raise ValueError("expected a first line that waits for nothing")
        known = set(info.data.get("knows", {}))
        unknown = {n for line in lines for text in line.says for n in _PLACE.findall(text)} - known
        if unknown:
            raise ValueError(f"expected knows to have {', '.join(sorted(unknown))}")
        return lines


class Given(Strict):
    """How an order stands before the conversation, where the demo's own data has none like it."""

    status: str | None = None
    ordered_hours_ago: float | None = Field(None, ge=0)


class Final(Strict):
    """What differs in the shop's books afterwards; everything else must be as before."""

    orders: dict[str, dict[Literal["status", "address"], str]] = Field(default_factory=dict)
    """By order, fields that changed and a text that the new value has."""
    rows: dict[Literal["tickets", "returns"], int] = Field(default_factory=dict)
    """How many rows each table has gained."""


class Scenario(Strict):
    """One conversation to be had."""

    name: str
    """The file's."""
    summary: str = Field(min_length=1)
    kind: Kind
    language: Literal["en", "zh"] = "en"
    """Of the page, and of every answer."""
    expected: Literal["pass", "fail"] = "pass"
    """fail: the product cannot do this yet. Once it can, the scenario must say pass."""
    reason: str | None = Field(None, validate_default=True)
    """Why it fails, in one line."""
    systems: tuple[Literal["real", "scripted"], ...] = ("real", "scripted")
    """Chats that it can be asked of: scripted (no weights) understands only shared words."""
    guards: tuple[Guard, ...] = ()
    given: dict[str, Given] = Field(default_factory=dict)
    """By order."""
    customer: Customer
    never: tuple[Regex, ...] = ()
    """What no answer may have."""
    final: Final = Final()

    @field_validator("reason")
    @classmethod
    def _says_why(cls, reason: str | None, info: ValidationInfo) -> str | None:
        if (info.data.get("expected") == "fail") != bool(reason):
            raise ValueError("expected a reason where `expected: fail`, and none elsewhere")
        return reason

    @property
    def orders(self) -> set[str]:
        """Orders that it gives or expects something of."""
        return {*self.given, *self.final.orders}

    @property
    def articles(self) -> set[str]:
        """Articles that it wants cited."""
        return {article for line in self.customer.lines for article in line.expect.cites}


def filled(text: str, knows: dict[Fact, str]) -> str:
    """`text` with {order} and the like from `knows`."""
    facts = {str(fact): value for fact, value in knows.items()}
    return _PLACE.sub(lambda m: facts[m.group(1)], text)


def load(folder: Path) -> list[Scenario]:
    """All scenarios in `folder`, by name. Raises InputError where there is none, ConfigError with
    file and field where one is wrong."""
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder}: expected scenarios (*.yaml), found none")
    return [read(file) for file in files]


def read(file: Path) -> Scenario:
    """The scenario in `file`."""
    if not _NAME.fullmatch(file.stem):
        raise InputError(f"{file}: expected a name such as return-label.yaml")
    return parse(Scenario, {**read_yaml(file), "name": file.stem}, str(file))
