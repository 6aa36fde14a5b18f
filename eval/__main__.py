"""`python -m eval`: measure the product, compare two reports, decide what may ship."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.errors import AppError, guarded
from eval.bench import BENCHES, ROUNDS

if TYPE_CHECKING:
    from eval.cache import Cache
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
    columns: Annotated[
        str | None, typer.Option(help="Of a file, where they differ: text=comment,label=category.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many samples.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask again what an earlier run has finished.")
    ] = False,
    out: Out = None,
) -> None:
    """Evaluate; writes report.json, .md and .html and samples.jsonl with --out.

    Finished samples are kept: after Ctrl-C or a crash the same command goes on where it stopped.
    """
    from app.core.files import writable
    from eval.columns import parse
    from eval.task import Request
    from eval.tasks import task

    chosen = [task(name) for name in dict.fromkeys(tasks)]
    if out is not None:
        writable(out)  # before the work, not after it
    request = Request(data, model, adapter, system, prompt, limit, parse(columns))
    failed = []
    for one in chosen:
        try:
            _run(one, request, out / one.name if out and len(chosen) > 1 else out, fresh)
        except AppError as error:
            if len(chosen) == 1:
                raise
            failed.append(one.name)  # the other tasks may well run
            typer.echo(f"error: {one.name}: {error.message}", err=True)
    if failed:
        typer.echo(f"not evaluated: {', '.join(failed)}", err=True)
        raise typer.Exit(2)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder or report.json.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="What A is compared with.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """What changed from B to A; writes compare.json and compare.html beside A or to --out."""
    from app.core.files import write_json, write_text
    from eval.compare import compare as compared
    from eval.comparison_text import render, texts
    from eval.report import read
    from eval.tasks import task
    from eval.verdicts import comparison_page

    first, second = read(a), read(b)
    asked = task(first.report.task)
    found = compared(asked, first, second)
    folder, tree = out or first.folder, found.model_dump(exclude_none=True)
    write_json(folder / "compare.json", tree)
    write_text(folder / "compare.html", comparison_page(tree, first.report, second.report))
    shown = render(found, texts(asked, found)) if not as_json else None
    typer.echo(shown or found.model_dump_json(exclude_none=True, indent=2))


@app.command()
def gate(
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="Folder or report.json.")],
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help="What is served now.")],
    policy: Annotated[Path | None, typer.Option(help="Default: eval/policy.yaml.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """May CANDIDATE replace BASELINE? Exit 0 ship, 1 block, 3 inconclusive; evidence: gate.json."""
    from app.core.files import write_json, write_text
    from eval.gate import EXIT, judge
    from eval.verdicts import gate_page

    evidence = judge(candidate, baseline, policy)
    folder = out or (candidate if candidate.is_dir() else candidate.parent)
    tree = evidence.model_dump(exclude_none=True)
    write_json(folder / "gate.json", tree)
    write_text(folder / "gate.html", gate_page(tree))
    shown = evidence.model_dump_json(exclude_none=True, indent=2) if as_json else evidence.sentence
    typer.echo(shown)
    raise typer.Exit(EXIT[evidence.verdict])


@app.command()
def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of: {', '.join(BENCHES)}.")],
    data: Annotated[str | None, typer.Option(help="Data reference; none: the bench's own.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many samples: a trial.")] = None,
    rounds: Annotated[int, typer.Option(help="Runs of each arm that count.")] = ROUNDS,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Speed beside two peers, as the machine is and on AVX2; bench.json and bench.md with --out."""
    from app.core.files import writable
    from eval.bench import bench as bench_called
    from eval.bench import launch, page
    from eval.task import Request

    asked = bench_called(name)
    if out is not None:
        writable(out)
    record = launch.measure(asked, Request(data=data, limit=limit), rounds, _command())
    if out is not None:
        launch.write(out, record)
    typer.echo(record.model_dump_json(indent=2) if as_json else page.render(record))


def _run(task: Task, request: Request, out: Path | None, fresh: bool) -> None:
    from eval import cache, markdown, uses
    from eval.harness import prepare
    from eval.pages import write_page
    from eval.report import write

    plan = prepare(task, request)
    kept = cache.of(plan, fresh)
    found = _asked(plan, kept)
    report = write(out, found.report, found.rows) if out else found.report
    if out:
        write_page(out, task, report, found.rows)
    kept.finish()
    uses.record(report)
    typer.echo(f"{task.name}: {report.provenance.system} on {report.provenance.data.ref}")
    typer.echo(markdown.summary(report))
    typer.echo(markdown.table(report.metrics) + "\n")
    for remark in task.remarks(found.rows):
        typer.echo(remark)


def _asked(plan: Plan, kept: Cache) -> Evaluation:
    """The evaluation, with progress on stderr; what ends it early says what is kept."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from eval.harness import run as run_plan

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total, taken = len(plan.samples), len(kept)
    if taken:
        typer.echo(f"{taken} of {total} samples from the cache (--fresh asks them again)", err=True)
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            # The time left is reckoned from the samples that are asked now.
            shown = bar.add_task(plan.task.name, total=total, completed=taken)
            return run_plan(plan, _command(), lambda done: bar.advance(shown, done), kept)
    except (KeyboardInterrupt, AppError):
        if kept:
            typer.echo(
                f"{len(kept)} of {total} samples are kept: the same command goes on from there",
                err=True,
            )
        raise


def _command() -> str:
    """The command line as it can be repeated from the root, without this machine's folders."""
    from eval.task import relative

    parts = [relative(Path(part)) if part.startswith("/") else part for part in sys.argv[1:]]
    return " ".join(["python -m eval", *parts])


if __name__ == "__main__":
    guarded(app)
