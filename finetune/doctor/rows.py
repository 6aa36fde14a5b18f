"""The rows of a run as the doctor sees them: read as its task reads them, but past every fault.

Each reference is read once, however often the config names it. Beside training and dev rows stand
those of the test splits that lie next to them (`data:sst2#train` has `data:sst2#test`), for the
search for leakage alone; where the config excludes overlap with such a split, nothing leaks.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

from app.core import data, kinds, preferences, questions
from app.core.errors import AppError, InputError
from app.core.kinds import Labelled
from app.core.messages import Conversation, Message, Passage
from app.core.preferences import Judged, Preferred
from app.core.prompt import DECLINE
from app.core.records import Row
from app.core.textprep import prepare as prepare_text
from finetune import grounded, overlap
from finetune.config import TrainConfig

Part = Literal["train", "dev", "test"]
T = TypeVar("T")
_PUNCTUATION = " .,!?;\"'。，！？；"
_SPLIT = re.compile(r"(?<![a-z])(?:train|dev|val|validation)$")


prepare = lru_cache(maxsize=2**16)(prepare_text)
"""As the product prepares a text: most checks ask for it."""


class Sample(NamedTuple):
    """One row. What is the same in `text` and `context` is the same question."""

    part: Part
    where: str
    text: str
    """What is classified or asked."""
    target: str
    """What is to be learnt, as text: equal targets are equal answers."""
    context: str = ""
    """What else the model reads: passages, earlier turns, the pair to be compared."""
    labels: tuple[str, ...] = ()
    score: float | None = None
    answers: tuple[str, ...] = ()
    """Texts that the model is to write."""
    record: Any = None
    """The row as its task reads it."""

    @property
    def key(self) -> tuple[str, str]:
        """Equal for texts that differ in case, spacing and punctuation at their ends alone."""
        return " ".join(prepare(self.text).lower().split()).strip(_PUNCTUATION), self.context

    @property
    def learnt(self) -> list[str]:
        """Texts that must not stand in a test set: ours, with which it declines, may."""
        return [self.text, *(text for text in self.answers if text not in DECLINE.values())]


@dataclass(eq=False)
class Case:
    """The data of one run, and what its checks share."""

    config: TrainConfig
    quick: bool = False
    """Without what takes longer than reading the rows a few times."""
    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """One message for each line or reference that cannot be read, with file and line."""
    overlapping: int = 0
    """Training rows that data.exclude_overlap_with leaves out."""

    def part(self, *parts: Part) -> list[Sample]:
        """Samples of these parts, in order."""
        return [sample for sample in self.samples if sample.part in parts]

    @cached_property
    def tokenizer(self) -> Any:
        """The model's. Raises AppError where the model is not to be had."""
        from app.models.loading import tokenizer

        return tokenizer(self.folder)

    @cached_property
    def folder(self) -> Any:
        """Where the base lies. Raises AppError where it is not to be had."""
        from app.models import references

        return references.resolve(self.config.model.path).folder


def read(config: TrainConfig, *, quick: bool = False) -> Case:
    """All rows that can be read."""
    case, group = Case(config, quick), config.data
    known = overlap.known_texts(group.exclude_overlap_with)
    for ref in dict.fromkeys(group.learnt_from):
        found = _limited(_part(case, ref, "train"), group.limit, config.run.seed)
        kept = [one for one in found if not (known and overlap.shares(one.learnt, known))]
        case.overlapping += len(found) - len(kept)
        case.samples += kept
    dev = [one for ref in dict.fromkeys(group.dev) for one in _part(case, ref, "dev")]
    together = None if config.task == "sft" else group.dev_limit  # sft: of each reference
    case.samples += _limited(dev, together, config.run.seed)
    for ref in _beside(config):
        case.samples += _part(case, ref, "test")
    return case


def _part(case: Case, ref: str, part: Part) -> list[Sample]:
    """Rows of one reference; what is wrong with the reference itself becomes a fault."""
    try:
        found = READERS[case.config.task](case, ref, part)
    except InputError as error:
        case.faults.append(error.message)
        return []
    return [sample._replace(part=part) for sample in found]


def _limited(rows: list[T], limit: int | None, seed: int) -> list[T]:
    """The very sample that the run takes, as long as every row can be read."""
    return rows if limit is None or limit >= len(rows) else random.Random(seed).sample(rows, limit)


def _beside(config: TrainConfig) -> Iterator[str]:
    """Test splits on this machine that lie next to what is trained or chosen on."""
    group, seen = config.data, set(config.data.exclude_overlap_with)
    for ref in (*group.learnt_from, *group.dev):
        test = _SPLIT.sub("test", ref) if "#" in ref else ref
        if test not in seen and test != ref and _is_there(test):
            yield test
        seen.add(test)


def _is_there(ref: str) -> bool:
    try:
        if data.is_corpus(ref):
            return bool(data.corpus(ref).queries)
        return data.has_split(ref)
    except AppError:
        return False


def _each(case: Case, rows: Sequence[Row], parse: Callable[[Row], T]) -> list[tuple[Row, T]]:
    """Rows that `parse` takes, with what it made of them; the others become faults."""
    made = []
    for row in rows:
        try:
            made.append((row, parse(row)))
        except InputError as error:
            case.faults.append(error.message)
    return made


def _has(case: Case, row: Row, fields: Sequence[str]) -> bool:
    """Whether a row has all of `fields`; what it lacks becomes a fault."""
    lacking = [field for field in fields if field not in row]
    if lacking:
        case.faults.append(
            f"{row['_where']}: this row has no {' and no '.join(map(repr, lacking))}"
        )
    return not lacking


def _table(
    case: Case, ref: str, fields: Sequence[str], parse: Callable[..., list[T]]
) -> list[tuple[str, T]]:
    """(where, record) of rows with named fields. parse: as those of app.core.kinds."""
    own = data.parse_ref(ref).scheme in ("file", "hub")
    columns = case.config.data.columns if own else None
    rows = data.readable(ref, fields, columns, case.faults)
    if parse is kinds.labelled:  # a row without a label is none: three stars of five, say
        rows = [row for row in rows if row.get("label", "none") not in (None, "")]
    whole = [row for row in rows if _has(case, row, fields)]
    good = [row for row, _ in _each(case, whole, lambda row: parse([row], None, {}))]
    made = parse(good, None, {}) if good else []  # together: 0 and 1 are words, 0, 1 and 2 are not
    return [(row["_where"], one) for row, one in zip(good, made, strict=True)]


def _labelled(case: Case, ref: str, _: Part) -> list[Sample]:
    group = case.config.data
    if ref in group.ratings:
        found = _table(case, ref, ("text", "score"), kinds.rated)
        clear = [(where, row) for where, row in found if abs(row.score) >= group.min_rating]
        words = ("negative", "positive")
        rows = [(where, Labelled(row.id, row.text, words[row.score > 0])) for where, row in clear]
    else:
        rows = _table(case, ref, ("text", "label"), kinds.labelled)
    return [
        Sample("train", where, row.text, row.label, labels=(row.label,), record=row)
        for where, row in rows
    ]


def _multilabelled(case: Case, ref: str, _: Part) -> list[Sample]:
    return [
        Sample("train", where, row.text, "|".join(sorted(row.labels)), labels=row.labels,
               record=row)
        for where, row in _table(case, ref, ("text", "labels"), kinds.multilabelled)
    ]  # fmt: skip


def _rated(case: Case, ref: str, _: Part) -> list[Sample]:
    return [
        Sample("train", where, row.text, f"{row.score:g}", score=row.score, record=row)
        for where, row in _table(case, ref, ("text", "score"), kinds.rated)
    ]


def _asked(case: Case, ref: str, _: Part) -> list[Sample]:
    return [
        Sample("train", where, row.question, "|".join(sorted(row.answers)), context=row.context,
               record=row)
        for where, row in _table(case, ref, ("question", "context", "answers"), questions.parse)
    ]  # fmt: skip


def _conversations(case: Case, ref: str, part: Part) -> list[Sample]:
    group, seed = case.config.data, case.config.run.seed
    limit = {"train": group.limit, "dev": group.dev_limit, "test": None}[part]
    if data.is_corpus(ref):
        seed += group.learnt_from.index(ref) if part == "train" else 0  # as the task draws them
        made = grounded.conversations(ref, seed, limit).rows
        return [_conversation(f"{ref} row {n}", row) for n, row in enumerate(made, 1)]
    rows = data.readable(ref, (), None, case.faults)
    found = _each(case, rows, kinds.conversation)
    return _limited([_conversation(row["_where"], one) for row, one in found], limit, seed)


def _conversation(where: str, row: Conversation) -> Sample:
    *before, last = row.messages
    asked, context = _prompt(before, row.passages)
    answers = tuple(turn.content for turn in row.messages if turn.role == "assistant")
    return Sample("train", where, asked, last.content, context, answers=answers, record=row)


def _prompt(turns: Sequence[Message], passages: Sequence[Passage]) -> tuple[str, str]:
    """What the user says, and what else stands before the answer."""
    asked = [turn.content for turn in turns if turn.role == "user"]
    others = [turn.content for turn in turns if turn.role != "user"]
    return "\n".join(asked), "\n".join([*others, *(passage.text for passage in passages)])


def _preferred(case: Case, ref: str, _: Part) -> list[Sample]:
    split = data.parse_ref(ref).split
    rows = data.readable(ref, (), None, case.faults)
    if split and any("split" in row for row in rows):
        rows = [row for row in rows if row.get("split") == split]
    found = _each(case, rows, lambda row: preferences.parse([row], None)[0])
    return [_preference(row["_where"], one) for row, one in found]


def _preference(where: str, row: Preferred | Judged) -> Sample:
    """Turned about, a pair contradicts itself; so do two judgements of one answer."""
    asked, context = _prompt(row.prompt.messages, row.prompt.passages)
    answers = (row.chosen, row.rejected) if isinstance(row, Preferred) else (row.completion,)
    liked = () if isinstance(row, Preferred) else (("disliked", "liked")[row.label],)
    return Sample(
        "train", where, asked, liked[0] if liked else answers[0],
        context="\n".join([context, *sorted(answers)]), labels=liked, answers=answers, record=row,
    )  # fmt: skip


READERS: dict[str, Callable[[Case, str, Part], list[Sample]]] = {
    "classification": _labelled,
    "multilabel": _multilabelled,
    "regression": _rated,
    "reader": _asked,
    "sft": _conversations,
    "preference": _preferred,
}
"""Task -> how its rows are read."""
