"""`python -m finetune`: data from feedback, doctor, plan, table. Training itself: train.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.core.errors import guarded

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@cli.callback()
def main() -> None:
    """What comes before a training run, which is: accelerate launch finetune/train.py."""


@cli.command()
def feedback(
    out: Annotated[Path, typer.Option(help="jsonl to write; its counts go to OUT.json")],
    feature: Annotated[
        Literal["sentiment", "support"], typer.Option(help="which feature's feedback")
    ],
    source: Annotated[Path | None, typer.Option(help="scripted file instead of the store")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="the server's settings (YAML), which name its database")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="synthetic corrections where the store has none")
    ] = False,
    max_per_user: Annotated[int, typer.Option(min=1, help="rows of one user at most")] = 20,
) -> None:
    """Write consented, redacted thumbs and corrections as training data, counting what stays out.

    Status 2 with nothing in the store; the corrections that ship with --demo are about its shop.
    """
    from finetune import feedback as rows
    from finetune.corrections import Source, gathered

    given, where = gathered(feature, Source(source, settings, demo))
    record = rows.write(out, feature, where, rows.build(given, feature, max_per_user=max_per_user))
    print(f"feedback from {where}")
    for reason, count in record["counts"].items():
        print(f"  {count:5d}  {reason.replace('_', ' ')}")
    print(f"written to {out}")


@cli.command()
def doctor(
    config: Annotated[Path, typer.Option(help="YAML config of a run")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="override one key, e.g. data.limit=500")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="suspect labels by words alone, as before a run")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="findings as JSON")] = False,
) -> None:
    """What is wrong with the data of a run, and what to do. Status 2 where it would not start."""
    from app.core.config import load
    from finetune.config import TrainConfig
    from finetune.doctor import examine, report

    found = examine(load(TrainConfig, config, overrides), quick=quick)
    print(
        json.dumps(found.as_json(), ensure_ascii=False, indent=2) if as_json else report.text(found)
    )
    if found.of("error"):
        raise typer.Exit(2)


@cli.command()
def plan(
    config: Annotated[Path, typer.Option(help="YAML config of a run")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="override one key, e.g. data.limit=500")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="of optimiser steps to time")] = 60.0,
    price_per_hour: Annotated[
        float | None, typer.Option(min=0, help="of this machine, in the currency of your bill")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, help="longest training the advice may name")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the plan as JSON")] = False,
) -> None:
    """What a run takes before it is begun: parameters, memory, work, time, cost; and what to train.

    Times a few real optimiser steps on this machine. Writes nothing.
    """
    from app.core import brief
    from app.core.config import load
    from finetune.config import TrainConfig

    wanted, limits = load(TrainConfig, config, overrides), brief.read().limits
    from finetune.plan.plan import Terms  # seconds of imports, after the config is known to be good
    from finetune.plan.plan import plan as planned
    from finetune.plan.text import text

    found = planned(wanted, Terms(limits, seconds, price_per_hour, max_hours))
    print(json.dumps(found, ensure_ascii=False, indent=2) if as_json else text(found))


@cli.command()
def table(
    only: Annotated[str, typer.Option(metavar="PATTERN", help="recipes, e.g. 'sst2-*'")] = "*",
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many runs now")] = None,
    listed: Annotated[bool, typer.Option("--list", help="what is done and what is left")] = False,
    show: Annotated[bool, typer.Option("--show", help="the finished runs as Markdown")] = False,
    config: Annotated[Path, typer.Option(help="what is compared")] = Path("finetune/table.yaml"),
    to: Annotated[Path, typer.Option("--table", help="gets a line each finished run")] = Path(
        "finetune/table.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="folder of the run folders")] = Path("runs/table"),
) -> None:
    """Fill the table of methods, run by run; a queue that was stopped goes on where it was.

    Status 1 where a run failed: the others are done all the same.
    """
    from finetune.table import fill, lines, page, recipes

    if show:
        print(page.markdown(lines.read(to)))
        return
    queue = recipes.read(config)
    chosen = recipes.chosen(queue, only)
    if listed:
        print("\n".join(fill.listed(queue, chosen, lines.read(to), out)))
        return
    failed = fill.fill(queue, chosen, out=out.resolve(), to=to, limit=limit)
    if failed:
        print("\n".join(["failed:", *failed]), file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    guarded(cli)
