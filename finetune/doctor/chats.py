"""Conversations as the model is shown them: the chat template, and which tokens carry loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from app.core.files import read_json
from app.core.redact import redact
from finetune.doctor.finding import Finding, Place, finding, out_of, short
from finetune.doctor.rows import Case, Sample

MOST = 2_000
"""Rows that are rendered, spread evenly: a template takes about a millisecond a row."""
LITTLE = 0.02
"""Share of tokens that carry loss, below which a run spends its time on reading."""
OPEN, CLOSE = "⟦", "⟧"
"""Around tokens that carry loss, in the example that is shown."""


class Rendered(NamedTuple):
    """A conversation in tokens."""

    sample: Sample
    ids: list[int]
    carries: list[bool]
    """Whether each of the tokens carries loss."""


@lru_cache(maxsize=1)
def rendered_rows(case: Case) -> list[Rendered]:
    """Training rows as tokens; none where the task has no chats or the model no template."""
    rows = case.part("train") if case.config.task in _TURNS else []
    if not rows or not case.tokenizer.chat_template:
        return []
    chosen = rows[:: -(-len(rows) // MOST)]
    return [_render(case, row) for row in chosen]


def template(case: Case) -> Iterator[Finding]:
    """No chat template at all; else one example, rendered."""
    rows = case.part("train") if case.config.task in _TURNS else []
    if not rows:
        return
    if not case.tokenizer.chat_template:
        yield finding(
            "template", "error", [], len(rows), f"{case.config.model.path} has no chat template: "
            f"{case.config.task} needs a chat model", "Name a chat model, often called Instruct.",
            count=len(rows),
        )  # fmt: skip
    for row in rendered_rows(case)[:1]:
        yield finding(
            "template", "info", [], 1,
            f"{short(row.sample.where)} as the model is shown it; the tokens between {OPEN} and "
            f"{CLOSE} carry loss", "", count=1, exhibit=marked(case, row),
        )  # fmt: skip


def loss_share(case: Case) -> Iterator[Finding]:
    """How many of the tokens carry loss; counts are tokens."""
    rows = rendered_rows(case)
    carrying, every = sum(sum(r.carries) for r in rows), sum(len(r.ids) for r in rows)
    silent = [row.sample for row in rows if not any(row.carries)]
    if rows:
        yield finding(
            "loss_share", "warning" if silent or carrying < LITTLE * every else "info",
            [Place(row.where, row.text) for row in silent], every,
            f"carry loss: {out_of(carrying, every, 'tokens')} in {len(rows):,} rows"
            + (f"; {len(silent):,} rows have none" if silent else ""),
            "Shorten prompts and passages: what carries no loss is only read."
            if silent or carrying < LITTLE * every else "", count=carrying,
        )  # fmt: skip


def end_token(case: Case) -> Iterator[Finding]:
    """Answers whose end is not learnt: no end token in them, or one that the loss leaves out."""
    rows = rendered_rows(case)
    if not rows:
        return
    ends = _ends(case)
    endless = [r.sample for r in rows if not any(c and i in ends for i, c in _zip(r))]
    told = " or ".join(repr(case.tokenizer.convert_ids_to_tokens(i)) for i in sorted(ends))
    if endless:
        yield finding(
            "end_token", "error", [Place(row.where, row.text) for row in endless], len(rows),
            f"the chat template ends answers without {told}, so that the model would not learn to "
            f"stop: {out_of(len(endless), len(rows))}",
            "Have the template close the assistant's turn with that token, or set eos_token to the "
            "one with which it does.",
        )  # fmt: skip
    elif case.tokenizer.pad_token_id in ends:
        yield _pad_is_end(case, rows, told, ends)


def marked(case: Case, row: Rendered) -> str:
    """The text of a row, with marks around the tokens that carry loss, redacted."""
    pieces: list[str] = []
    start = 0
    for at in range(1, len(row.ids) + 1):
        if at == len(row.ids) or row.carries[at] != row.carries[start]:
            text = redact(case.tokenizer.decode(row.ids[start:at])).text
            pieces.append(f"{OPEN}{text}{CLOSE}" if row.carries[start] else text)
            start = at
    return "".join(pieces)


def _render(case: Case, row: Sample) -> Rendered:
    """Masked as TRL masks it: what prompt and whole share carries no loss."""
    from trl.data_utils import common_prefix_length

    made = _TURNS[case.config.task](case, row)
    options = {"return_dict": True, **made["chat_template_kwargs"]}
    apply = case.tokenizer.apply_chat_template
    whole = apply(made["prompt"] + made["completion"], **options)["input_ids"]
    asked = apply(made["prompt"], add_generation_prompt=True, **options)["input_ids"]
    before = common_prefix_length(asked, whole)
    return Rendered(row, whole, [at >= before for at in range(len(whole))])


def _pad_is_end(case: Case, rows: list[Rendered], told: str, ends: set[int]) -> Finding:
    """Collates two rows as a run does: a collator that masks by pad id loses their ends."""
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(case.tokenizer.pad_token_id)
    two = sorted(rows, key=lambda row: len(row.ids))[:: max(1, len(rows) - 1)]
    batch = collate([
        {"input_ids": r.ids, "labels": [i if c else -100 for i, c in _zip(r)]} for r in two
    ])  # fmt: skip
    kept = int(torch.isin(batch["labels"], torch.tensor(sorted(ends))).sum())
    lost = sum(c and i in ends for r in two for i, c in _zip(r)) > kept
    what = (
        "the loss leaves it out, so that the model would not learn to stop" if lost else
        "padding is masked by its place here, so that the end keeps its loss"
    )  # fmt: skip
    return finding(
        "end_token", "error" if lost else "info", [], len(rows),
        f"the pad token is {told}, with which answers end; {what}",
        "Give the tokenizer a pad token of its own." if lost else "", count=len(rows),
    )  # fmt: skip


def _ends(case: Case) -> set[int]:
    """Token ids at which the model stops."""
    ends = {case.tokenizer.eos_token_id}
    file = case.folder / "generation_config.json"
    found = read_json(file).get("eos_token_id") if file.is_file() else None
    ends |= set(found) if isinstance(found, list) else {found}
    return {end for end in ends if end is not None}


def _zip(row: Rendered) -> Iterator[tuple[int, bool]]:
    return zip(row.ids, row.carries, strict=True)


def _sft(case: Case, row: Sample) -> dict[str, Any]:
    from finetune.tasks.sft import as_features

    return as_features(row.record, case.config.data.prompt)


def _better(case: Case, row: Sample) -> dict[str, Any]:
    """Of a pair the better answer."""
    from finetune.tasks.preference import as_rows

    made = as_rows(row.record, case.config, case.config.data.prompt)[0]
    return {"completion": made.get("chosen"), **made}


_TURNS: dict[str, Callable[[Case, Sample], dict[str, Any]]] = {"sft": _sft, "preference": _better}
"""Task -> prompt and completion of a row, as its trainer gets them."""
