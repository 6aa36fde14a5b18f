"""`make verify-hub`: train BERT and GPT-2 themselves, from the Hub, on a small slice, and report.

The tests run these two configs on tiny random models of the same shape; this runs the real ones
where there is a network. It proves that names, tokenizers, padding and layer names fit, not that
64 rows make a good classifier. Exit status 2, with a sentence, where there is no Hub.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from app.core.errors import WeightsMissing, guarded
from app.core.files import ROOT, read_json

CONFIGS = ("bert", "gpt2")
SLICE = ["data.limit=64", "data.dev_limit=64", "loop.epochs=null", "loop.max_steps=6",
         "loop.eval_every=3", "loop.save_every=3", "run.name=hub"]  # fmt: skip


def main() -> None:
    """Train both and print a table."""
    print("verify-hub: BERT and GPT-2 from the Hub (about 1 GB), a few steps each", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        records = {name: _trained(name, Path(folder) / name) for name in CONFIGS}
    for name, record in records.items():
        print(_line(name, record))


def _trained(name: str, out: Path) -> dict[str, Any]:
    from app.core.config import load
    from finetune.config import TrainConfig
    from finetune.engine import train
    from finetune.launcher import Stop

    path = ROOT / "finetune" / "configs" / f"{name}.yaml"
    config = load(TrainConfig, path, [*SLICE, f"run.out_dir={out}"])
    try:
        train(config, resume=False, stop=Stop())
    except WeightsMissing as error:
        raise WeightsMissing(f"verify-hub needs the Hub: {error.message}") from error
    return dict(read_json(config.folder / "run.json"))


def _line(name: str, record: dict[str, Any]) -> str:
    base, dev = record["base"], record["dev"]
    assert math.isfinite(dev["log_loss"])
    return (
        f"{name}: {base['ref']} from {base['source']}, sha256 {base['sha256'][:12]}; "
        f"{record['parameters']['trainable']:,} of {record['parameters']['total']:,} parameters "
        f"trained; {record['steps']} steps in {record['seconds']:.0f} s; "
        f"dev accuracy {dev['accuracy']:.3f} (n {dev['n']})"
    )


if __name__ == "__main__":
    guarded(main)
