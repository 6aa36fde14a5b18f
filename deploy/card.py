"""The model card of a release, from its records alone."""

from __future__ import annotations

from typing import Any

import yaml

from app.core.release import Release
from eval.report import Report

LANGUAGES = {"sentiment": ["en"], "support": ["en", "zh"], "recommend": ["en"]}


def model_card(release: Release, report: Report, run: dict[str, Any]) -> str:
    """README.md of a release folder: what it is, what it was made of, what was measured, limits."""
    matter = {
        "license": "apache-2.0",
        "base_model": release.base.ref,
        "language": LANGUAGES[release.feature],
        **({"library_name": "peft", "base_model_relation": "adapter"} if run else {}),
    }
    return "\n".join(
        [
            "---",
            yaml.safe_dump(matter, sort_keys=False).strip(),
            "---",
            f"# {release.id}",
            "",
            f"The released system for *{release.feature}* (mode `{release.mode}`), promoted by "
            f"`python -m deploy promote`.",
            "",
            f"- Base: {release.base.ref}, {release.base.file}, sha256 `{release.base.sha256}`, "
            f"from {release.base.source}",
            *_training(release, run),
            f"- Prompt or text preparation: {release.prompt_version}",
            "",
            f"Measured on {report.provenance.data.ref} (n = {report.n}, seed {report.seed}) by "
            f"`{report.provenance.command}`:",
            "",
            "| metric | value | 95 % interval |",
            "|---|---|---|",
            *(
                f"| {m.name} | {m.value:.3f} | {m.low:.3f} to {m.high:.3f} |"
                for m in report.metrics
            ),
            "",
            "The data set `demo:` is synthetic. Whole report: "
            f"[reports/{report.task}](reports/{report.task}/report.md).",
            "",
        ]
    )


def _training(release: Release, run: dict[str, Any]) -> list[str]:
    if not run:
        return []
    data = ", ".join(run.get("data", {}))
    return [
        f"- Adapter: sha256 `{release.adapter_sha256}`, trained on {data}; dev data chose "
        f"the checkpoint "
        f"(seed {run['seed']}, commit {run['git']['commit']})",
        f"- Labels: {', '.join(release.labels)}" if release.labels else "- Labels: none",
    ]
