"""Fine-tune a LoRA adapter from a config.

    accelerate launch finetune/train.py --config finetune/configs/sentiment.yaml
    accelerate launch finetune/train.py --config F --set optim.lr=1e-4 --set run.name=other
    accelerate launch finetune/train.py --config runs/NAME/config.yaml --resume
    torchrun --nproc_per_node 2 finetune/train.py --config F      several processes on CPU

Also `python finetune/train.py`. Ctrl-C and SIGTERM save a checkpoint first. Bad input ends with
one sentence and status 2; accelerate and torchrun turn that into 1, with a trace of their own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    # Launched as a file: Python put finetune/ first, which hides the packages beside it.
    sys.path[0] = str(Path(__file__).resolve().parents[1])


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="train.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML config")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override one key, e.g. optim.lr=1e-4; may be given several times",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, check the config, train."""
    from app.core.errors import guarded

    args = make_parser().parse_args(argv)
    guarded(lambda: _train(args))


def _train(args: argparse.Namespace) -> None:
    from app.core.config import load
    from finetune.config import TrainConfig
    from finetune.launcher import Stop, die_with_parent

    die_with_parent()
    config = load(TrainConfig, args.config, args.overrides)
    from finetune.engine import train  # seconds of imports, after the config is known to be good

    train(config, resume=args.resume, stop=Stop())


if __name__ == "__main__":
    main()
