"""`python -m deploy promote|rollback|stage|check|export`.

Exit status: 0 done, 1 the gate or the check says no, 2 bad input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.core.errors import guarded

cli = typer.Typer(
    help="Ship what passed the gate.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
Feature = Annotated[str, typer.Option(help="sentiment, support or recommend")]


@cli.command()
def promote(
    run: Annotated[Path, typer.Argument(help="Run folder with report.json and gate.json")],
    feature: Feature,
) -> None:
    """Make a run that the gate let through the release that is served; keep the old one."""
    from deploy.admitted import Refused
    from deploy.promote import promote as do

    try:
        release = do(run, feature)
    except Refused as refused:
        print(f"refused: {refused.message}", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"{feature}: {release.id} is released ({release.mode}); a running page swaps by itself")


@cli.command()
def rollback(
    feature: Feature,
    to: Annotated[str | None, typer.Option(help="Release id; default: the one before")] = None,
) -> None:
    """Serve an earlier release again; the present one is kept among the earlier ones."""
    from deploy.promote import rollback as do

    release = do(feature, to)
    print(f"{feature}: back to {release.id} ({release.mode}); a running page swaps by itself")


@cli.command()
def stage(
    out: Annotated[Path, typer.Option(help="New or empty folder")],
    settings: Annotated[
        Path | None, typer.Option(help="The server's (YAML), to say what its database alone holds")
    ] = None,
) -> None:
    """Write a Hugging Face Space (Gradio SDK) that runs from its folder alone."""
    from deploy.ingested import left_behind
    from deploy.stage import files
    from deploy.stage import stage as do

    folder = do(out)
    size = sum(path.stat().st_size for path in files(folder)) / 2**20
    print(f"{folder}: {size:.0f} MB in {len(list(files(folder)))} files; next: deploy check {out}")
    if note := left_behind(settings):
        print(note)


@cli.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A folder that stage wrote")],
    port: Annotated[int | None, typer.Option(help="Default: any free one")] = None,
) -> None:
    """Install, boot and ask a staged Space, as Spaces does (2-4 minutes, downloads its pins)."""
    from deploy.check import CheckFailed
    from deploy.check import check as do

    try:
        print(json.dumps(do(folder, port=port), ensure_ascii=False, indent=2))
    except CheckFailed as failed:
        print(f"no: {failed.message}", file=sys.stderr)
        raise SystemExit(1) from None


@cli.command()
def export(
    run: Annotated[str, typer.Argument(help="Run or release folder, or a model reference")],
    out: Annotated[Path, typer.Option(help="Folder for the file and export.json")],
    form: Annotated[str, typer.Option("--format", help="gguf")] = "gguf",
) -> None:
    """Write a chat model with its adapter merged, if it answers as evaluated (a minute)."""
    from deploy.chat_parity import Unequal
    from deploy.export import export as do

    try:
        print(json.dumps(do(run, out, form).model_dump(mode="json"), indent=2))
    except Unequal as unequal:
        print(f"refused: {unequal.message}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    guarded(cli)
