"""Several configs trained one after the other in the processes of one launcher.

    python -m torch.distributed.run --nproc_per_node 2 -m tests.train_many [--fsdp] CONFIG[@STEPS]...

CONFIG@STEPS is stopped after so many steps and resumed. --fsdp spreads the models by the settings
of finetune/accelerate/eight-gpus-fsdp2.yaml, on CPUs, which accelerate's launcher would not do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.core.config import load
from app.core.files import ROOT
from finetune.config import TrainConfig
from tests.helpers_train import StopAfter, train


def spread() -> None:
    """Have accelerate take FSDP2 for processes on CPUs."""
    import os

    from accelerate import PartialState
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils import DistributedType
    from accelerate.utils.launch import prepare_multi_gpu_env

    file = ROOT / "finetune" / "accelerate" / "eight-gpus-fsdp2.yaml"
    parsed = launch_command_parser().parse_args(["--config_file", str(file), "train.py"])
    asked = prepare_multi_gpu_env(_validate_launch_command(parsed)[0])
    os.environ |= {k: v for k, v in asked.items() if k.startswith(("FSDP_", "ACCELERATE_USE_FSDP"))}
    begin = PartialState.__init__

    def as_gpus(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = as_gpus


def main(arguments: list[str]) -> None:
    """Train each; say how many modules are spread."""
    if "--fsdp" in arguments:
        spread()
    for argument in arguments:
        if argument.startswith("--"):
            continue
        path, at, steps = argument.partition("@")
        config = load(TrainConfig, Path(path))
        if at:
            try:
                train(config, stop=StopAfter(int(steps)))
            except SystemExit as stopped:
                assert stopped.code == 128 + 15
        train(config, resume=bool(at))


if __name__ == "__main__":
    main(sys.argv[1:])
