"""The README's commands run, its two languages agree, and it names nothing of one machine alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.core.files import ROOT

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
FENCE = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

ELSEWHERE = {
    "make run": "test_app_cli.py",
    "make test": "test_readme.py",
    "make loop": "test_loop_journey.py",
    "python -m deploy stage": "test_stage.py",
    "python -m deploy check": "test_stage.py",
}
"""Commands with a journey of their own; all others are run as written by test_readme_walk.py."""


def commands(path: Path) -> list[str]:
    """Commands of the fences marked sh, without comments; those `not run here` are listed apart."""
    found = []
    for language, note, body in FENCE.findall(path.read_text(encoding="utf-8")):
        if language == "sh" and "not run here" not in note:
            lines = (line.partition(" #")[0].strip() for line in body.splitlines())
            found += [line for line in lines if line]
    return found


@pytest.mark.parametrize("start", ELSEWHERE)
def test_a_command_with_a_journey_of_its_own_is_in_the_readme_and_in_that_test(start: str) -> None:
    assert any(command.startswith(start) for command in commands(ENGLISH))
    source = (ROOT / "tests" / ELSEWHERE[start]).read_text(encoding="utf-8")
    word = start.split()[-1]
    assert word in source, f"tests/{ELSEWHERE[start]} does not run {start!r}"


def test_what_is_not_run_here_is_listed_with_its_reason() -> None:
    notes = [
        (note.strip(), body.strip())
        for language, note, body in FENCE.findall(ENGLISH.read_text(encoding="utf-8"))
        if language == "sh" and "not run here" in note
    ]
    train = "accelerate launch finetune/train.py --config finetune/configs/"
    assert [note for note, _ in notes] == [
        "not run here: the environment is that of make run",
        "not run here: minutes of training on public data",
        "not run here: needs the Hub",
        "not run here: needs the Hub",
        "not run here: minutes on an idle machine",
        "not run here: wants a shop of your own",
        "not run here: minutes on an idle machine",
        "not run here: needs a model server",
        "not run here: minutes, and packages of the extra bench",
    ]
    assert notes[0][1].startswith(". .venv/bin/activate ")
    assert [line.split("  #")[0].strip() for line in notes[1][1].splitlines()] == [
        f"{train}sentiment.yaml",
        f"{train}support.yaml",
    ]
    assert notes[2][1] == "make verify-hub"
    assert notes[3][1].startswith("python -m app.knowledge.fit ")
    assert re.findall(r"eval bench (\S+)", notes[4][1]) == ["chat"]
    assert "--settings shop.yaml" in notes[5][1]
    assert re.findall(r"eval bench (\S+)", notes[6][1]) == ["train-encoder", "train-chat"]
    assert "--model openai:" in notes[7][1]
    assert "eval bench" in notes[8][1]


@pytest.mark.parametrize("path", [ENGLISH, CHINESE])
def test_the_environment_is_activated_before_the_first_command_that_needs_it(path: Path) -> None:
    bodies = [
        body for language, _, body in FENCE.findall(path.read_text("utf-8")) if language == "sh"
    ]
    lines = "".join(bodies).splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(("python ", "accelerate ")))
    assert any(line.startswith(". .venv/bin/activate") for line in lines[:first])


def test_make_has_the_targets_that_the_readme_names() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:`|^)make ([a-z-]+)", ENGLISH.read_text("utf-8"), re.MULTILINE)
    assert set(named) <= set(targets)


def test_the_chinese_readme_has_the_same_commands_headings_and_numbers() -> None:
    english, chinese = (path.read_text(encoding="utf-8") for path in (ENGLISH, CHINESE))
    bodies = [[body for _, _, body in FENCE.findall(text)] for text in (english, chinese)]
    stripped = [[re.sub(r" +#.*", "", body) for body in side] for side in bodies]
    assert len(stripped[0]) == len(stripped[1])
    shell = [[b for lang, _, b in FENCE.findall(t) if lang == "sh"] for t in (english, chinese)]
    assert [re.sub(r" *#.*", "", b) for b in shell[0]] == [
        re.sub(r" *#.*", "", b) for b in shell[1]
    ]
    levels = [re.findall(r"^(#+) ", text, re.MULTILINE) for text in (english, chinese)]
    assert levels[0] == levels[1]
    numbers = [sorted(re.findall(r"\d\.\d{3}", text)) for text in (english, chinese)]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("path", [ENGLISH, CHINESE])
def test_every_linked_file_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing


def test_documents_name_no_path_of_one_machine() -> None:
    for path in ROOT.glob("*.md"):
        found = re.findall(r"(?<![\w.])/(?:work|home|root|tmp)/", path.read_text(encoding="utf-8"))
        assert not found, path.name
