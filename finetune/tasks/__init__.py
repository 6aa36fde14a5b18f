"""What can be trained: one file a task, each with `build(order) -> Job`."""

from __future__ import annotations

from finetune.tasks import classification, sft

TASKS = {"classification": classification.build, "sft": sft.build}
