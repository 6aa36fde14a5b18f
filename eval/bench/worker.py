"""One setting of the machine in a process of its own: `python -m eval.bench.worker ORDER`.

ORDER is JSON, as `Order` has it. Leaves the `Run` at the order's path; progress goes to stderr.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.core.config import Strict
from app.core.errors import AppError, exit_with_message
from app.core.files import write_json
from eval.bench import bench as bench_called
from eval.bench import speedups
from eval.bench.base import Bench, Contest
from eval.bench.others import Meter
from eval.bench.record import ArmRecord, Run
from eval.bench.settings import SETTINGS, Setting, capability, told
from eval.bench.turns import Progress, Round, take_turns
from eval.task import Request


class Order(Strict):
    """What a worker is asked for."""

    bench: str
    setting: str
    rounds: int
    data: str | None
    limit: int | None
    path: Path


def main() -> None:
    """Carry out the order on the command line."""
    order = Order.model_validate_json(sys.argv[1])
    found = run(bench_called(order.bench), SETTINGS[order.setting], order)
    write_json(order.path, found.model_dump(mode="json"))


def run(bench: Bench, setting: Setting, order: Order) -> Run:
    """Build the arms, let them take turns, and record it."""
    used, began = capability(setting), Meter.read()
    contest = bench.build(Request(data=order.data, limit=order.limit))
    with _shown(bench, setting, (order.rounds + 1) * len(contest.arms)) as progress:
        rounds = take_turns(contest.arms, order.rounds, progress)
    import torch

    return Run(
        setting=setting.name,
        environment=told(),
        capability=used,
        threads=torch.get_num_threads(),
        others=round(began.others(), 2),
        seconds=round(time.monotonic() - began.at, 1),
        work=contest.work,
        identity=dict(contest.identity),
        metrics=speedups.speedups(bench, rounds, setting.suffix),
        arms=_arms(bench, contest, rounds),
    )


def _arms(bench: Bench, contest: Contest, rounds: Sequence[Round]) -> list[ArmRecord]:
    return [
        ArmRecord(
            name=arm.name,
            does=arm.does,
            speeds=[speedups.speeds(measure, rounds, arm.name) for measure in bench.measures],
            quality=speedups.quality(bench, rounds, arm.name, contest.groups),
        )
        for arm in contest.arms
    ]


@contextmanager
def _shown(bench: Bench, setting: Setting, steps: int) -> Iterator[Progress]:
    """A bar on stderr with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        label = f"{bench.name}, {setting.name}"
        shown, done = bar.add_task(label, total=steps), itertools.count()
        yield lambda line: bar.update(shown, description=f"{label}: {line}", completed=next(done))
        bar.update(shown, description=label, completed=steps)


if __name__ == "__main__":
    try:
        main()
    except AppError as error:
        exit_with_message(error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # the process that started this one says so
