"""`python -m finetune feedback`: what users said, as training data. Training itself: train.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.core.errors import guarded

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@cli.callback()
def main() -> None:
    """Training data from what users said. Training itself: accelerate launch finetune/train.py."""


@cli.command()
def feedback(
    out: Annotated[Path, typer.Option(help="jsonl to write; its counts go to OUT.json")],
    feature: Annotated[
        Literal["sentiment", "support"], typer.Option(help="which feature's feedback")
    ],
    source: Annotated[Path | None, typer.Option(help="scripted file instead of the store")] = None,
    max_per_user: Annotated[int, typer.Option(min=1, help="rows of one user at most")] = 20,
) -> None:
    """Write consented, redacted thumbs and corrections as training data, counting what stays out.

    With nothing in the store the scripted corrections that ship are used, which are synthetic.
    """
    from finetune import feedback as rows

    given, where = (rows.scripted(source), str(source)) if source else rows.gathered(feature)
    record = rows.write(out, feature, where, rows.build(given, feature, max_per_user=max_per_user))
    print(f"feedback from {where}")
    for reason, count in record["counts"].items():
        print(f"  {count:5d}  {reason.replace('_', ' ')}")
    print(f"written to {out}")


if __name__ == "__main__":
    guarded(cli)
