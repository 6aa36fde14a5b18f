"""Several configs trained one after the other in the processes of one launcher.

    torchrun --nproc_per_node 2 -m tests.train_many CONFIG... --fsdp CONFIG...

CONFIG@STEPS is stopped after so many steps and resumed. The models of the configs behind --fsdp
are spread by the settings of finetune/accelerate/eight-gpus-fsdp2.yaml, on CPUs, which accelerate's
launcher would not do.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.core.config import load
from app.core.files import ROOT
from finetune.config import TrainConfig
from tests.helpers_train import StopAfter, train


def sharding(file: Path, *arguments: str) -> dict[str, str]:
    """What `accelerate launch --config_file FILE ARGUMENTS` says of FSDP in the environment."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    given = ["--config_file", str(file), *arguments, "train.py"]
    parsed, _, _ = _validate_launch_command(launch_command_parser().parse_args(given))
    found = prepare_multi_gpu_env(parsed)
    return {k: v for k, v in found.items() if k.startswith(("FSDP_", "ACCELERATE_USE_FSDP"))}


def spread() -> None:
    """Have accelerate take FSDP2 for processes on CPUs."""
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    os.environ |= sharding(ROOT / "finetune" / "accelerate" / "eight-gpus-fsdp2.yaml")
    begin = PartialState.__init__

    def as_gpus(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = as_gpus


def main(arguments: list[str]) -> None:
    """Train each."""
    for argument in arguments:
        if argument == "--fsdp":
            spread()
            continue
        path, at, steps = argument.partition("@")
        config = load(TrainConfig, Path(path))
        if at:
            with suppress(SystemExit):
                train(config, stop=StopAfter(int(steps)))
        train(config, resume=bool(at))


if __name__ == "__main__":
    main(sys.argv[1:])
