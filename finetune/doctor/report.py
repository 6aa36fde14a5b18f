"""A Diagnosis as text, short enough to be read."""

from __future__ import annotations

from collections.abc import Iterable

from finetune.doctor.finding import Diagnosis, Finding, Severity, short

ALL: tuple[Severity, ...] = ("error", "warning", "info")
_INDENT = " " * 11


def text(found: Diagnosis, severities: Iterable[Severity] = ALL) -> str:
    """Findings of these severities, the counts first."""
    shown = found.of(*severities)
    read = ", ".join(f"{count:,} {part}" for part, count in found.rows.items() if count)
    head = f"doctor: {found.task}, rows: {read or 'none'}; {_counted(found)}"
    return "\n".join(
        [f"{head} ({found.seconds:.1f} s)", *(line for one in shown for line in _lines(one))]
    )


def sentence(found: Diagnosis) -> str:
    """The errors in one line."""
    errors = found.of("error")
    told = "; ".join(f"{one.what.removesuffix('.')}. {one.remedy}" for one in errors[:3])
    rest = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
    return f"the data does not do for this run: {told}{rest}"


def _counted(found: Diagnosis) -> str:
    counts = {name: len(found.of(name)) for name in ("error", "warning")}
    words = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count]
    return ", ".join(words) or "nothing wrong"


def _lines(one: Finding) -> list[str]:
    """A heading, up to three examples, what to do."""
    lines = [f"{one.severity:8s} {one.check}: {one.what}"]
    lines += [f"{_INDENT}{short(place.where)}  {place.text}" for place in one.examples]
    if one.count > len(one.examples) and one.examples:
        lines.append(f"{_INDENT}… {one.count - len(one.examples):,} more")
    lines += [f"{_INDENT}| {line}" for line in one.exhibit.splitlines()]
    return [*lines, f"{_INDENT}=> {one.remedy}"] if one.remedy else lines
