"""What people prefer: two answers to one prompt, or one answer and whether it was liked."""

from __future__ import annotations

from typing import NamedTuple

from app.core.config import parse as parsed
from app.core.errors import InputError
from app.core.kinds import in_split
from app.core.messages import Conversation
from app.core.records import Row, text_of


class Preferred(NamedTuple):
    """Of two answers the better and the worse one (DPO)."""

    prompt: Conversation
    """Ends with the user's turn; its passages are what both answers rest on."""
    chosen: str
    rejected: str


class Judged(NamedTuple):
    """One answer, and whether it was good (KTO)."""

    prompt: Conversation
    completion: str
    label: bool


def parse(rows: list[Row], split: str | None) -> list[Preferred | Judged]:
    """Rows {prompt, chosen, rejected} or {prompt, completion, label}, perhaps with passages.

    prompt: messages that end with the user's. An answer: a text, or a list of one assistant
    message. label: true or false. Rows of another `split` are left out. Raises InputError with file
    and line, also for a split that the file does not have.
    """
    return [_one(row) for row in (in_split(rows, rows, split) if split else rows)]


def _one(row: Row) -> Preferred | Judged:
    if {"prompt", "chosen", "rejected"} <= row.keys():
        chosen, rejected = _answer(row, "chosen"), _answer(row, "rejected")
        if chosen == rejected:
            raise InputError(f"{row['_where']}: chosen and rejected are the same answer")
        return Preferred(_prompt(row), chosen, rejected)
    if {"prompt", "completion", "label"} <= row.keys():
        if row["label"] not in (True, False):
            raise InputError(
                f"{row['_where']}: expected true or false in 'label', found {row['label']!r}"
            )
        return Judged(_prompt(row), _answer(row, "completion"), bool(row["label"]))
    found = ", ".join(key for key in row if not key.startswith("_"))
    raise InputError(
        f"{row['_where']}: expected prompt, chosen and rejected, or prompt, completion and label; "
        f"found {found}"
    )


def _prompt(row: Row) -> Conversation:
    if not isinstance(row["prompt"], list):
        raise InputError(
            f"{row['_where']}: expected messages [{{role, content}}] in 'prompt', found "
            f"{str(row['prompt'])[:80]!r}"
        )
    tree = {"messages": row["prompt"], "passages": row.get("passages") or []}
    made = parsed(Conversation, tree, row["_where"])
    if made.messages[-1].role != "user":
        raise InputError(
            f"{row['_where']}: expected a prompt that ends with the user's turn, it ends with "
            f"{made.messages[-1].role}'s"
        )
    return made


def _answer(row: Row, field: str) -> str:
    found = row[field]
    if isinstance(found, list):
        said = parsed(Conversation, {"messages": found}, f"{row['_where']}: {field}").messages
        if len(said) != 1 or said[0].role != "assistant":
            raise InputError(
                f"{row['_where']}: expected one message of the assistant in {field!r}, found "
                f"{len(said)} messages, the first the {said[0].role}'s"
            )
        found = said[0].content
    return text_of({**row, field: found}, field)
