"""What the launcher asked for, checked against what came up; dying with it; stopping on a signal.

Traps this answers (accelerate 1.15): `accelerate launch --cpu --num_processes 2` silently runs one
process; it gives a single process one thread; it does not pass SIGTERM on to its child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, TypeVar

from app.core.errors import AppError, ConfigError

_PR_SET_PDEATHSIG = 1
_SHARDING = {
    "VERSION": "2",
    "STATE_DICT_TYPE": "FULL_STATE_DICT",  # the other kind reads its index as any pickle
    "ACTIVATION_CHECKPOINTING": "false",  # renames the layers: their adapters would not be saved
    "CPU_RAM_EFFICIENT_LOADING": "false",  # all processes look at the weights before they train
}
T = TypeVar("T")


class Stop:
    """Set by the first SIGTERM or Ctrl-C; training then saves a checkpoint and ends.

    A second Ctrl-C stops at once; checkpoints saved so far stay whole.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT, from the main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal = number
            print("\nstopping: a checkpoint is saved after this step", file=sys.stderr, flush=True)


def die_with_parent() -> None:
    """Ask Linux for SIGTERM when the launcher dies, which would else leave us training unseen."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def check_processes(came_up: int) -> None:
    """Raise ConfigError unless as many processes run as torchrun or accelerate was asked for."""
    asked = _asked(os.environ, _parent().get("cmdline") or [])
    if asked != came_up:
        raise ConfigError(
            f"the launcher was asked for {asked} processes, {came_up} came up. On CPU use "
            f"`torchrun --nproc_per_node {asked} finetune/train.py ...`: accelerate launch runs one"
        )


def check_sharding() -> None:
    """Raise ConfigError for settings of FSDP under which an adapter would be lost or misread."""
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() != "true":
        return
    for name, expected in _SHARDING.items():
        found = os.environ.get(f"FSDP_{name}", "not set")
        if found != expected:
            raise ConfigError(
                f"accelerate's fsdp_{name.lower()} is {found}, expected {expected}: begin with "
                f"finetune/accelerate/eight-gpus-fsdp2.yaml"
            )


def by_main(act: Callable[[], T]) -> T:
    """What `act` returns in the main process, in all of them.

    An AppError there is raised there; the others end with its status and say nothing.
    """
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    if not PartialState().is_main_process:
        (found,) = broadcast_object_list([None])
        if isinstance(found, AppError):
            raise SystemExit(2)
        return found  # type: ignore[no-any-return]
    try:
        done = act()
    except AppError as error:
        broadcast_object_list([AppError(error.message)])
        raise
    broadcast_object_list([done])
    return done


def free_threads() -> None:
    """Give a single process all cores again where accelerate, unasked, set OMP_NUM_THREADS=1."""
    import psutil
    import torch

    parent = _parent()
    by_accelerate = _accelerate_arguments(parent.get("cmdline") or []) is not None
    asked_by_user = "OMP_NUM_THREADS" in (parent.get("environ") or {})
    if by_accelerate and not asked_by_user and "WORLD_SIZE" not in os.environ:
        allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        torch.set_num_threads(min(psutil.cpu_count(logical=False) or 1, allowed))


def _asked(environ: Mapping[str, str], parent: Sequence[str]) -> int:
    """How many processes were asked for: WORLD_SIZE, or the arguments of `accelerate launch`."""
    if "WORLD_SIZE" in environ:
        return int(environ["WORLD_SIZE"])
    arguments = _accelerate_arguments(parent)
    if arguments is None:
        return 1
    from accelerate.commands.config.config_args import default_config_file, load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    given = launch_command_parser().parse_args(arguments)
    if given.num_processes is not None:
        return max(1, int(given.num_processes))
    if given.config_file or (os.path.isfile(default_config_file) and not given.cpu):
        return max(1, int(load_config_from_file(given.config_file).num_processes or 1))
    return 1


def _accelerate_arguments(command: Sequence[str]) -> list[str] | None:
    """What follows `accelerate launch` in a command line; None where it is something else."""
    for place, word in enumerate(command[:4]):
        name = os.path.basename(word)
        if name == "accelerate" and command[place + 1 : place + 2] == ["launch"]:
            return list(command[place + 2 :])
        if name in ("accelerate-launch", "accelerate.commands.launch", "launch.py"):
            return list(command[place + 1 :])
    return None


def _parent() -> dict[str, Any]:
    """Command line and environment of our parent; empty where they may not be read."""
    import psutil

    try:
        parent = psutil.Process().parent()
        return parent.as_dict(["cmdline", "environ"]) if parent else {}
    except psutil.Error:
        return {}
