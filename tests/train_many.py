"""Several configs trained one after the other in the processes of one launcher.

    python -m torch.distributed.run --nproc_per_node 2 -m tests.train_many CONFIG...
"""

from __future__ import annotations

import sys
from pathlib import Path

from app.core.config import load
from finetune.config import TrainConfig
from tests.helpers_train import train

if __name__ == "__main__":
    for path in sys.argv[1:]:
        train(load(TrainConfig, Path(path)))
