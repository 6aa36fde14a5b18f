"""The loop, once around: feedback, data, LoRA, evaluate, compare, gate, promote, served.

    python -m deploy.loop --feature sentiment        (make loop)

Each step is the command that a person would type, run as a process; a step that fails ends the loop
and leaves the old release where it is. Exit status: 0 shipped, 1 blocked, 2 bad input, 3 undecided.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from app.core import release as releases
from app.core.config import read_yaml
from app.core.errors import AppError, guarded
from app.core.files import ROOT, read_json, release_dir
from app.models import adapters
from eval.report import REPORT, current_code, read

VERDICTS = {0: "ship", 1: "block", 3: "inconclusive"}


class StepFailed(AppError):
    """A step of the loop ended with an error; the release is untouched."""

    code = "step_failed"


def main() -> None:
    """Run the loop for one feature and leave with the verdict's exit status."""
    parser = argparse.ArgumentParser(description="Feedback to a gated release, once around.")
    parser.add_argument("--feature", choices=("sentiment", "support"), default="sentiment")
    parser.add_argument("--source", type=Path, help="feedback file instead of the store")
    parser.add_argument("--settings", type=Path, help="the server's, which name its database")
    parser.add_argument(
        "--demo", action="store_true", help="synthetic corrections where the store has none"
    )
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--page", default="http://127.0.0.1:7860", help="a running page to look at")
    arguments = parser.parse_args()
    guarded(lambda: sys.exit(loop(arguments)))


def loop(arguments: argparse.Namespace) -> int:
    """The steps in order; returns 0, 1 or 3."""
    feature, start = arguments.feature, time.monotonic()
    before = releases.read(release_dir() / feature)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    run = (arguments.runs / f"loop-{feature}-{stamp}").resolve()
    print(f"loop: {feature}; {before.id} is served; about 5 minutes; results in {run}", flush=True)
    data = _feedback(arguments, run.with_name(run.name + "-feedback.jsonl"))
    _train(feature, run, data)
    baseline = _reports(feature, run)
    _step("compare", "eval", "compare", str(run), str(baseline), "--out", str(run))
    status = _step("gate", "eval", "gate", str(run), str(baseline), "--out", str(run), ok=(0, 1, 3))
    verdict = VERDICTS[status]
    if status == 0:
        _step("promote", "deploy", "promote", str(run), "--feature", feature)
    _say_what_is_served(feature, verdict, before.id, arguments.page)
    print(f"loop: {verdict} in {time.monotonic() - start:.0f} s", flush=True)
    return status


def _feedback(arguments: argparse.Namespace, out: Path) -> Path:
    files = {"--source": arguments.source, "--settings": arguments.settings}
    # The steps run in the checkout's root, wherever these were typed.
    extra = [part for flag, file in files.items() if file for part in (flag, str(file.resolve()))]
    extra += ["--demo"] if arguments.demo else []
    _step("feedback", "finetune", "feedback", "--feature", arguments.feature, "--out", str(out),
          *extra)  # fmt: skip
    return out


def _train(feature: str, run: Path, data: Path) -> None:
    config = ROOT / "finetune" / "configs" / f"feedback-{feature}.yaml"
    goes_on = read_yaml(config)["adapter"]["init_from"] == f"release:{feature}"
    shape = _shape(release_dir() / feature) if goes_on else {}
    _run(
        "train",
        [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1",
         str(ROOT / "finetune" / "train.py"), "--config", str(config),
         "--set", f"run.name={run.name}", "--set", f"run.out_dir={run.parent}",
         "--set", f"data.feedback=file:{data}",
         *(part for key, value in shape.items() for part in ("--set", f"adapter.{key}={value}"))],
    )  # fmt: skip


def _shape(release: Path) -> dict[str, str]:
    """What of the released adapter training goes on with, whatever the config says of its own.

    Empty where there is none: training says so, and what to do.
    """
    if not (release / adapters.CONFIG_FILE).is_file():
        return {}
    method, saved = adapters.method(release), read_json(release / adapters.CONFIG_FILE)
    if method != "lora":
        return {"method": method}
    rslora = str(saved["use_rslora"]).lower()
    return {"rank": str(saved["r"]), "alpha": str(saved["lora_alpha"]), "rslora": rslora}


def _reports(feature: str, run: Path) -> Path:
    """Evaluate the candidate; returns the baseline's report, made again if code has changed."""
    _step("evaluate", "eval", "run", feature, "--adapter", str(run / "adapter"), "--out", str(run))
    baseline = release_dir() / feature / "reports" / feature
    if not (baseline / REPORT).is_file() or not current_code(read(baseline).report):
        baseline = run / "baseline"
        _step("evaluate the release", "eval", "run", feature, "--out", str(baseline))
    return baseline


def _step(name: str, package: str, *arguments: str, ok: tuple[int, ...] = (0,)) -> int:
    return _run(name, [sys.executable, "-m", package, *arguments], ok)


def _run(name: str, command: list[str], ok: tuple[int, ...] = (0,)) -> int:
    shown = " ".join(["python", *command[1:]])
    print(f"\nloop: {name}\n  $ {shown}", flush=True)
    start = time.monotonic()
    status = subprocess.run(command, cwd=ROOT).returncode
    if status not in ok:
        raise StepFailed(f"{name} ended with status {status}; the release is as it was")
    print(f"loop: {name} took {time.monotonic() - start:.0f} s", flush=True)
    return status


def _say_what_is_served(feature: str, verdict: str, before: str, page: str) -> None:
    now = releases.read(release_dir() / feature).id
    said = f"now {now}, before {before}" if verdict == "ship" else f"still {now}"
    print(f"\nloop: {verdict}: {feature} is {said}")
    for _ in range(20):
        served = _served(feature, page)
        if served is None:
            print(f"loop: no page at {page}; `make run` serves {now}")
            return
        if served == now:
            print(f"loop: the page at {page} serves {now}")
            return
        time.sleep(1)
    print(f"loop: the page at {page} still serves {served}; see {page}/readyz")


def _served(feature: str, page: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{page}/readyz", timeout=5) as response:
            state = json.load(response)
    except (urllib.error.URLError, ConnectionError, TimeoutError, ValueError):
        return None
    return str(state["features"][feature]["release"])


if __name__ == "__main__":
    main()
