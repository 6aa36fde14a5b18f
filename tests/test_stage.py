"""A staged Space holds what the app needs and nothing else, and boots from its folder alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from app.core.errors import InputError
from app.core.files import ROOT, write_text
from app.store.db import open_store
from deploy import check, ingested, manifest
from deploy import stage as staging
from deploy.__main__ import cli
from deploy.stage import stage

SOMETIMES = {"pyarrow", "datasets", "gguf", "openvino", "openvino-genai"}
"""Imported inside functions that a Space never calls: parquet files, the Hub's data sets, and the
engine of the extra `cpu` with the file that it reads."""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `python -m deploy stage` writes."""
    folder = tmp_path_factory.mktemp("stage") / "space"
    done = CliRunner().invoke(cli, ["stage", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def third_party() -> set[str]:
    """Distributions that the product imports anywhere."""
    owners = packages_distributions()
    names: set[str] = set()
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    ours = sys.stdlib_module_names | {"app"}
    return {canonicalize_name(o) for name in names - ours for o in owners.get(name, [name])}


def test_the_pins_cover_everything_that_the_product_imports() -> None:
    pinned = {pin.partition("==")[0] for pin in manifest.pins()}
    assert third_party() - SOMETIMES <= pinned


def test_pins_name_no_local_build_and_no_training_library() -> None:
    pins = manifest.pins()
    assert not [pin for pin in pins if "+" in pin or "/" in pin]
    assert not {"trl", "pytest", "matplotlib"} & {pin.partition("==")[0] for pin in pins}


def test_a_space_holds_the_product_its_releases_and_their_weights(space: Path) -> None:
    names = {path.name for path in space.iterdir()}
    assert names == {
        ".gitattributes", "LICENSE", "NOTICE", "README.md", "app", "brief.yaml",
        "requirements.txt", "serve.py", "weights",
    }  # fmt: skip
    weights = {path.name for path in (space / "weights").iterdir()}
    assert weights == {"asked", *(base.ref.replace("/", "--") for base in manifest.bases())}
    assert [path.suffix for path in (space / "weights" / "asked").iterdir()] == [".npz", ".npz"]
    assert not list(space.rglob("samples*.jsonl"))
    assert not list(space.rglob("*.pyc"))


def test_the_front_matter_pins_the_gradio_that_is_installed(space: Path) -> None:
    matter = check.check_files(space)
    assert f"gradio=={matter.sdk_version}" in (space / "requirements.txt").read_text()
    assert matter.python_version == "3.12"


def test_the_brief_that_is_in_force_is_staged_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = (ROOT / "brief.yaml").read_text("utf-8").replace("Fern & Kettle", "Acme")
    write_text(tmp_path / "mine" / "brief.yaml", mine)
    monkeypatch.setenv("FRONTDESK_BRIEF", str(tmp_path / "mine" / "brief.yaml"))
    for slow in ("_copy_weights", "_copy_learnt"):
        monkeypatch.setattr(staging, slow, lambda *_: None)
    folder = stage(tmp_path / "space")
    assert (folder / "brief.yaml").read_text("utf-8") == mine
    assert "title: Acme help desk" in (folder / "README.md").read_text("utf-8")


def test_articles_that_were_ingested_are_said_not_to_be_in_the_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'prod.db'}"
    store = open_store(url)
    store.articles.replace({f"help/{name}.md": [article(name)] for name in "ab"})
    store.close()
    write_text(tmp_path / "prod.yaml", f"database_url: {url}\n")
    monkeypatch.setattr(staging, "stage", lambda out: out)
    done = CliRunner().invoke(
        cli, ["stage", "--out", str(tmp_path), "--settings", str(tmp_path / "prod.yaml")]
    )
    assert done.exit_code == 0, done.output
    assert "2 ingested articles are not in this Space" in done.output
    assert "set DATABASE_URL there" in done.output


def article(name: str) -> dict[str, object]:
    """An article as the store takes it."""
    return {"id": name, "sha256": "0" * 64, "title": name, "text": "We wrap presents.",
            "language": "en", "visibility": "public", "url": None, "questions": []}  # fmt: skip


def test_without_ingested_articles_staging_says_no_word_of_them() -> None:
    assert ingested.left_behind() is None


def test_a_database_that_cannot_be_read_stops_no_staging(tmp_path: Path) -> None:
    write_text(tmp_path / "prod.yaml", "database_url: nosql://nowhere\n")
    said = ingested.left_behind(tmp_path / "prod.yaml")
    assert said is not None
    assert said.startswith("whether articles were ingested is not known: error: database_url")


def test_staging_into_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "mine.txt", "keep")
    with pytest.raises(InputError, match=r"is not empty"):
        stage(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("app/x.pkl", "x", r"must not be published"),
        ("app/x.py", "TOKEN = 'hf_" + "a" * 34 + "'", r"looks like a token"),
        ("var/frontdesk.db", "x", r"databases hold people"),
    ],
)
def test_a_pickle_a_token_or_a_database_fails_the_check(
    space: Path, tmp_path: Path, name: str, content: str, message: str
) -> None:
    for kept in ("README.md", "requirements.txt", "serve.py"):
        write_text(tmp_path / kept, (space / kept).read_text())
    write_text(tmp_path / name, content)
    with pytest.raises(check.CheckFailed, match=message):
        check.check_files(tmp_path)


def test_a_folder_that_is_no_space_is_bad_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "check", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "is no staged Space" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_space_installs_boots_and_answers_from_its_folder_alone(space: Path) -> None:
    result = check.check(space)
    assert result["citations"]
    assert "30" in result["answer"]
