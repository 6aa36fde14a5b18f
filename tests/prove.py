"""The long proofs: `make prove` runs those that are missing or stale, one after the other.

    python -m tests.prove [NAME ...] [--again]

Each writes tests/proofs/<name>.json: what was found, when, and the sha256 of the source files that
it is about; tests/test_proofs.py runs each in miniature and fails where a committed proof is stale.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from app.core.files import RELEASES, ROOT, cache_dir, read_json, sha256_files, write_json
from app.core.provenance import machine, now
from tests.helpers_server import ready
from tests.prove_canaries import canaries
from tests.prove_gate import gate
from tests.prove_resume import resume
from tests.prove_search import search

FOLDER = ROOT / "tests" / "proofs"


class Proof(NamedTuple):
    """What is proved, by what, and which files it would have to be proved again for."""

    claim: str
    run: Callable[[int], dict[str, Any]]
    """Takes the number of repetitions."""
    times: int
    files: tuple[str, ...]

    def code(self) -> str:
        """sha256 over the files."""
        return sha256_files([ROOT / file for file in self.files])


def kill(times: int) -> dict[str, Any]:
    """kill -9 in mid-turn, `times` times: the question is kept, the database is whole."""
    with tempfile.TemporaryDirectory() as folder:
        lost = sum(_killed(Path(folder), run) for run in range(times))
        database = sqlite3.connect(Path(folder) / "frontdesk.db")
        whole = database.execute("PRAGMA integrity_check").fetchone()[0]
    return {"kills": times, "questions_lost": lost, "integrity": whole}


def _killed(var: Path, run: int) -> int:
    """One server, one question, one kill; 1 where the question was answered for and is gone."""
    environment = {**os.environ, "FRONTDESK_VAR": str(var)}
    log = var / f"log-{run}.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "--model", "scripted", "--port", "0"],
            cwd=ROOT, env=environment, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        page = ready(log)
        text = f"How much is delivery to Germany, question {run}?"
        messages = [{"role": "user", "content": text}]
        body = json.dumps({"messages": messages, "stream": True}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{page}/v1/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            response.read(1 + 37 * run)
            process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(20)
    database = sqlite3.connect(var / "frontdesk.db")
    kept = database.execute("SELECT count(*) FROM messages WHERE content = ?", (text,))
    return int(kept.fetchone()[0] == 0)


def loops(times: int) -> dict[str, Any]:
    """`make loop` whole for both features on the scripted corrections, on copies of the releases.

    What each says, and its seconds; times > 1 takes the slowest. Without a page beside it.
    """
    with tempfile.TemporaryDirectory() as folder:
        return {
            feature: max((_looped(Path(folder), feature) for _ in range(times)), key=_seconds)
            for feature in ("sentiment", "support")
        }


def _seconds(found: dict[str, Any]) -> int:
    return int(found["seconds"])


def _looped(folder: Path, feature: str) -> dict[str, Any]:
    releases = Path(tempfile.mkdtemp(dir=folder)) / "release"
    shutil.copytree(RELEASES, releases)
    own = {
        "FRONTDESK_RELEASES": str(releases),
        "FRONTDESK_VAR": str(releases.parent / "var"),
        "FRONTDESK_TEST_USES": str(releases.parent / "uses.jsonl"),
        "HF_HUB_OFFLINE": "1",
    }
    own["FRONTDESK_CACHE"] = str(_cache_without_samples(releases.parent / "cache"))
    command = [sys.executable, "-m", "deploy.loop", "--demo", "--feature", feature]
    command += ["--page", "http://127.0.0.1:9"]  # no page beside it
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--runs", str(releases.parent / "runs")],
        cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(done.stderr[-2000:])
    said = {0: "ship", 1: "block", 3: "inconclusive"}[done.returncode]
    return {"verdict": said, "seconds": round(time.monotonic() - start)}


def _cache_without_samples(folder: Path) -> Path:
    """The unpacked weights, but no answers of an earlier loop."""
    folder.mkdir()
    for entry in cache_dir().iterdir():
        if entry.name != "samples":
            (folder / entry.name).symlink_to(entry)
    return folder


PROOFS = {
    "gate": Proof(
        "the gate ships what is worse by the margin, and blocks an equal, at most 7 % of the time "
        "each; it ships a gain of 5 points at n = 500 at least 80 % of the time",
        gate, 2000,
        ("eval/gate.py", "eval/guards.py", "eval/paired.py", "eval/stats.py", "eval/policy.yaml",
         "tests/prove_gate.py"),
    ),
    "loops": Proof(
        "make loop ends with a verdict in under 6 minutes, for sentiment and for support",
        loops, 1,
        ("deploy/loop.py", "finetune/configs/feedback-sentiment.yaml",
         "finetune/configs/feedback-support.yaml", "eval/batched.py", "finetune/corrections.py",
         "finetune/feedback.py"),
    ),
    "canaries": Proof(
        "32 users of 20 turns each, at once, over HTTP and on the page, never see a word of "
        "another's, and each answer is given all of its own conversation",
        canaries, 20,
        ("app/serving/turns.py", "app/serving/quota.py", "app/store/conversations.py",
         "app/store/branches.py", "app/support/chat.py", "app/ui/asking.py", "app/web/chat.py",
         "app/core/visitor.py", "tests/prove_canaries.py"),
    ),
    "kill": Proof(
        "kill -9 in mid-turn loses no question and leaves the database whole",
        kill, 10, ("app/serving/turns.py", "app/store/db.py", "app/store/conversations.py"),
    ),
    "resume": Proof(
        "training killed by kill -9 at ten random moments and resumed has the loss curve, dev "
        "metrics and adapter of the uninterrupted run, bit for bit",
        resume, 10,
        ("finetune/checkpoints.py", "finetune/engine.py", "finetune/runs.py",
         "finetune/callbacks.py", "finetune/trainer.py", "finetune/optim.py",
         "tests/prove_resume.py"),
    ),
    "search": Proof(
        "over 10,000 passages the median search takes at most 30 ms of one processor core",
        search, 240,
        ("app/knowledge/clues.py", "app/knowledge/index.py", "app/knowledge/passages.py",
         "app/knowledge/ranker.py", "app/knowledge/retrieve.py", "app/knowledge/shelf.py",
         "app/knowledge/words.py", "tests/prove_search.py"),
    ),
}  # fmt: skip


def main() -> None:
    """Run what is asked for, or whatever is missing or stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*PROOFS, []], default=[])
    parser.add_argument("--again", action="store_true", help="also where the proof is current")
    arguments = parser.parse_args()
    for name in arguments.names or PROOFS:
        proof, file = PROOFS[name], FOLDER / f"{name}.json"
        current = file.is_file() and read_json(file)["code"] == proof.code()
        if current and not arguments.again:
            print(f"{name}: current")
            continue
        print(f"{name}: {proof.claim}; {proof.times} times ...", flush=True)
        start = time.monotonic()
        found = proof.run(proof.times)
        seconds = round(time.monotonic() - start)
        write_json(
            file,
            {"name": name, "claim": proof.claim, "found": found, "seconds": seconds, "date": now(),
             "machine": machine(), "files": list(proof.files), "code": proof.code()},
        )  # fmt: skip
        print(f"{name}: {found} in {seconds} s", flush=True)


if __name__ == "__main__":
    main()
