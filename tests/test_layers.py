"""The layers of the architecture hold: imports go downwards, heavy libraries stay put."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.files import ROOT

PACKAGES = ("app", "eval", "finetune", "deploy")
LAYERS = {
    "app.core": 0,
    "app.models": 1,
    "app.store": 1,
    "app.knowledge": 2,
    "app.sentiment": 2,
    "app.recommend": 2,
    "app.support": 3,
    "app.serving": 4,
    "app.services": 5,
    "app.ui": 6,
    "app.web": 6,
    "app.prepare": 6,
    "app.server": 7,
    "app.launch": 8,
    "app.commands": 8,
    "app.__main__": 9,
}
BESIDE = {
    "finetune": ("app.core", "app.models", "app.store", "finetune"),
    "deploy": ("app.core", "app.models", "eval.report", "deploy"),
    "eval": ("app.", "eval"),
}
TORCH = ("app.models", "app.sentiment", "app.recommend", "finetune", "deploy", "eval.bench")


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and path of each module of ours."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not {"space", "migrations"} & set(path.relative_to(ROOT).parts):
                dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield dotted.removesuffix(".__init__"), path


def imports(path: Path) -> Iterator[str]:
    """Dotted names that the module imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name: str) -> tuple[str, int] | None:
    """The layer that a dotted name lies in."""
    for part, depth in LAYERS.items():
        if name == part or name.startswith(part + "."):
            return part, depth
    return None


def test_app_imports_go_downwards() -> None:
    wrong = []
    for name, path in modules():
        here = layer(name)
        for target in imports(path):
            there = layer(target)
            if not here or not there or here[0] == there[0]:
                continue
            if there[1] >= here[1]:
                wrong.append(f"{name} -> {target}")
    assert not wrong


def test_app_imports_none_of_the_tools() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, path in modules()
        if name.startswith("app")
        for target in imports(path)
        if target.split(".")[0] in ("eval", "finetune", "deploy")
    ]
    assert not wrong


@pytest.mark.parametrize("package", BESIDE)
def test_tools_import_only_what_they_may(package: str) -> None:
    wrong = [
        f"{name} -> {target}"
        for name, path in modules()
        if name.split(".")[0] == package
        for target in imports(path)
        if target.split(".")[0] in PACKAGES
        and "." in target
        and not target.startswith(BESIDE[package])
        and not any(allowed.startswith(target + ".") for allowed in BESIDE[package])
    ]
    assert not wrong


def test_gradio_is_imported_in_the_page_and_the_server_alone() -> None:
    wrong = [
        name
        for name, path in modules()
        if any(target.split(".")[0] == "gradio" for target in imports(path))
        and not name.startswith(("app.ui", "app.server"))
    ]
    assert not wrong


def test_torch_is_imported_where_models_are_and_nowhere_else() -> None:
    wrong = [
        name
        for name, path in modules()
        if any(target.split(".")[0] == "torch" for target in imports(path))
        and not name.startswith(TORCH)
        and name != "eval.tasks.perplexity"
    ]
    assert not wrong


def test_nobody_imports_the_eval_package_by_its_bare_name() -> None:
    wrong = [
        name
        for name, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name == "eval" for alias in node.names)
    ]
    assert not wrong


def test_modules_do_not_carry_the_name_of_a_library() -> None:
    taken = {"datasets", "peft", "logging", "types", "trl", "torch", "gradio", "transformers"}
    assert not [name for name, _ in modules() if name.split(".")[-1] in taken]


@pytest.mark.parametrize(
    "module",
    ["app.core.data", "app.core.prompt", "app.core.release", "app.store", "app.services",
     "app.__main__", "finetune.__main__", "eval.__main__", "deploy.__main__"],
)  # fmt: skip
def test_importing_loads_neither_torch_nor_gradio(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'gradio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr
