"""`python -m eval`: measure the product, compare two reports, decide what may ship."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.errors import guarded

if TYPE_CHECKING:
    from eval.harness import Evaluation, Plan
    from eval.task import Request, Task

app = typer.Typer(
    help="Measure the product as it runs, and decide what may ship.",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.")]


@app.command("list")
def list_tasks() -> None:
    """Each task with its metrics, systems and default data."""
    from eval.tasks import TASKS

    for task in TASKS.values():
        typer.echo(f"{task.name}: {task.summary}")
        typer.echo(f"  data     {task.data}")
        typer.echo(f"  systems  {', '.join(['released', *task.systems])}")
        typer.echo(f"  metrics  {', '.join(metric.name for metric in task.metrics)}")


@app.command()
def run(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="See `list`.")],
    model: Annotated[str | None, typer.Option(help="Model reference; none: released.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a LoRA adapter.")] = None,
    system: Annotated[
        str | None, typer.Option(help="A system of the task; none: released.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Template for support's base model.")] = None,
    data: Annotated[str | None, typer.Option(help="Data reference, e.g. data:sst2#test.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many samples.")] = None,
    out: Out = None,
) -> None:
    """Evaluate; writes report.json, report.md and samples.jsonl with --out."""
    from app.core.files import writable
    from eval.task import Request
    from eval.tasks import task

    chosen = [task(name) for name in dict.fromkeys(tasks)]
    if out is not None:
        writable(out)  # before the work, not after it
    request = Request(data, model, adapter, system, prompt, limit)
    for one in chosen:
        _run(one, request, None if out is None else out / one.name if len(chosen) > 1 else out)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder or report.json.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="What A is compared with.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """What changed from B to A, sample by sample; writes compare.json beside A or to --out."""
    from app.core.files import write_json
    from eval.compare import compare as compared
    from eval.compare import render
    from eval.report import read
    from eval.tasks import task

    first, second = read(a), read(b)
    found = compared(task(first.report.task), first, second)
    write_json((out or first.folder) / "compare.json", found.model_dump(exclude_none=True))
    typer.echo(found.model_dump_json(exclude_none=True, indent=2) if as_json else render(found))


@app.command()
def gate(
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="Folder or report.json.")],
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help="What is served now.")],
    policy: Annotated[Path | None, typer.Option(help="Default: eval/policy.yaml.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """May CANDIDATE replace BASELINE? Exit 0 ship, 1 block, 3 inconclusive; writes gate.json."""
    from app.core.files import write_json
    from eval.gate import EXIT, judge

    evidence = judge(candidate, baseline, policy)
    folder = out or (candidate if candidate.is_dir() else candidate.parent)
    write_json(folder / "gate.json", evidence.model_dump(exclude_none=True))
    shown = evidence.model_dump_json(exclude_none=True, indent=2) if as_json else evidence.sentence
    typer.echo(shown)
    raise typer.Exit(EXIT[evidence.verdict])


def _run(task: Task, request: Request, out: Path | None) -> None:
    from eval import markdown, uses
    from eval.harness import prepare
    from eval.report import write

    plan = prepare(task, request)
    found = _asked(plan)
    report = write(out, found.report, found.rows) if out else found.report
    uses.record(report)
    typer.echo(f"{task.name}: {report.provenance.system} on {report.provenance.data.ref}")
    typer.echo(markdown.summary(report))
    typer.echo(markdown.table(report.metrics) + "\n")


def _asked(plan: Plan) -> Evaluation:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from eval.harness import run as run_plan

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task(plan.task.name, total=len(plan.samples))
        return run_plan(plan, _command(), lambda done: bar.advance(shown, done))


def _command() -> str:
    """The command line as it can be repeated from the root, without this machine's folders."""
    from eval.task import relative

    parts = [relative(Path(part)) if part.startswith("/") else part for part in sys.argv[1:]]
    return " ".join(["python -m eval", *parts])


if __name__ == "__main__":
    guarded(app)
