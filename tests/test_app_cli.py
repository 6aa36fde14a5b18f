"""`python -m app`: wrong use is one sentence and status 2, before a port is bound."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import launch, prepare
from app.__main__ import main
from app.core import release
from app.core.errors import InputError, Mismatch, NotFound
from app.core.files import ROOT, sha256_text, write_json
from app.core.settings import Settings, load
from app.core.textprep import VERSION
from app.serving import features
from app.store.db import open_store


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of the command line, in this process."""
    status = 0
    try:
        main(list(arguments))
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The command line -------------------------------------------------------------------------------


def test_help_names_the_commands_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for there, word in ((True, "serve"), (True, "db"), (True, "ingest"), (True, "data")):
        assert (word in out) is there


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--port", "7999"], {"port": 7999}),
        (["serve", "--model", "scripted", "--host", "0.0.0.0"],
         {"model": "scripted", "host": "0.0.0.0"}),
    ],
)  # fmt: skip
def test_serve_is_the_default_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], expected: dict[str, Any],
) -> None:  # fmt: skip
    given: dict[str, Any] = {}
    monkeypatch.setattr(launch, "serve", lambda file, **flags: given.update(flags, file=file))
    assert run(capsys, *arguments)[0] == 0
    assert {key: value for key, value in given.items() if value is not None} == expected


@pytest.mark.parametrize("arguments", [["--prot", "1"], ["--port", "many"], ["nonsense"]])
def test_wrong_flags_are_status_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(capsys, *arguments)[0] == 2


def test_the_database_goes_down_only_when_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert "database at schema 0003" in run(capsys, "db", "upgrade")[1]
    status, _, err = run(capsys, "db", "downgrade", "base")
    assert status == 2
    assert "say --yes" in err
    assert "database at schema base" in run(capsys, "db", "downgrade", "base", "--yes")[1]
    status, _, err = run(capsys, "db", "downgrade", "nowhere", "--yes")
    assert status == 2
    assert "This code knows: 0001" in err


# Before the port is bound -----------------------------------------------------------------------


@pytest.fixture
def unbound(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(host: str, port: int) -> None:
        raise AssertionError(f"bound {host}:{port}")

    monkeypatch.setattr(launch, "bind", bind)


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two releases on the scripted model, whole."""
    scripted = features.references.resolve("scripted").record().model_dump(exclude_none=True)
    for feature, prompt in (("support", "support/1"), ("sentiment", f"sentiment/{VERSION}")):
        folder = tmp_path / "releases" / feature
        write_json(folder / "release.json", {
            "feature": feature, "id": f"{feature}-7", "created": "2026-01-01T00:00:00Z",
            "mode": "quote" if feature == "support" else "model", "base": scripted,
            "adapter_sha256": sha256_text("adapter"), "prompt_version": prompt,
            "labels": ["negative", "positive"],
            "engines": [{"engine": "transformers", "dtype": "float32"}],
        })  # fmt: skip
        (folder / "adapter_model.safetensors").write_text("adapter")
    monkeypatch.setenv("FRONTDESK_RELEASES", str(tmp_path / "releases"))
    return tmp_path / "releases"


def changed(folder: Path, **values: Any) -> None:
    record = json.loads((folder / "release.json").read_text())
    write_json(folder / "release.json", record | values)


def test_whole_releases_pass_and_are_named(releases: Path) -> None:
    del releases
    assert features.verify(Settings()) == {"support": "support-7", "sentiment": "sentiment-7"}


def test_scripted_needs_no_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRONTDESK_RELEASES", str(tmp_path / "none"))
    assert features.verify(Settings(model="scripted")) == {}
    with pytest.raises(NotFound, match=r"no release in .*none/support"):
        features.verify(Settings())


@pytest.mark.parametrize("feature", ["support", "sentiment"])
def test_a_changed_adapter_is_named_with_its_sha256(releases: Path, feature: str) -> None:
    (releases / feature / "adapter_model.safetensors").write_text("another")
    found = sha256_text("another")
    with pytest.raises(Mismatch, match=rf"{feature}/adapter_model\.safetensors has sha256 {found}"):
        features.verify(Settings())


def test_a_changed_base_is_named_with_its_sha256(releases: Path) -> None:
    base = features.references.resolve("scripted").record().model_dump(exclude_none=True)
    changed(releases / "sentiment", base=base | {"sha256": "0" * 64})
    with pytest.raises(Mismatch, match="0" * 64):
        features.verify(Settings())


def test_a_changed_encoder_is_named_with_its_sha256(releases: Path) -> None:
    base = features.references.resolve("scripted").record().model_dump(exclude_none=True)
    changed(releases / "support", encoder=base | {"sha256": "1" * 64})
    with pytest.raises(Mismatch, match="1" * 64):
        features.verify(Settings())


@pytest.mark.parametrize(
    "edit",
    [
        {"labels": ["positive", "negative"]},
        {"calibration": {"temperature": 1.0, "thresholds": {"answer": 0.0}}},
        {"engines": [{"engine": "transformers", "dtype": "bfloat16"}]},
    ],
)
def test_labels_thresholds_and_engines_edited_after_the_gate_are_refused(
    releases: Path, edit: dict[str, Any]
) -> None:
    release.read(releases / "sentiment").save(releases / "sentiment")
    assert features.verify(Settings())["sentiment"] == "sentiment-7"
    changed(releases / "sentiment", **edit)
    with pytest.raises(Mismatch, match=r"sentiment/release\.json has sha256 \w{64}, sealed as"):
        features.verify(Settings())


def test_evidence_that_is_not_the_gates_is_refused(releases: Path) -> None:
    evidence = {"path": "reports/gate.json", "sha256": sha256_text("ship")}
    changed(releases / "support", evidence=evidence)
    with pytest.raises(Mismatch, match=r"reports/gate\.json has sha256 None"):
        features.verify(Settings())
    (releases / "support" / "reports").mkdir()
    (releases / "support" / "reports" / "gate.json").write_text("ship")
    assert features.verify(Settings())["support"] == "support-7"


def test_a_released_recommender_is_checked_and_named_too(releases: Path) -> None:
    record = json.loads((releases / "support" / "release.json").read_text())
    record |= {"feature": "recommend", "id": "recommend-7", "mode": "ease"}
    record |= {"prompt_version": features.RECOMMEND_VERSION}
    del record["adapter_sha256"]
    write_json(releases / "recommend" / "release.json", record)
    assert features.verify(Settings())["recommend"] == "recommend-7"
    assert features.loaders(Settings())["recommend"][0]().release == "recommend-7"


def test_a_release_of_another_prompt_is_refused(releases: Path) -> None:
    changed(releases / "sentiment", prompt_version="sentiment/99")
    with pytest.raises(Mismatch, match="made with prompt sentiment/99, this code renders"):
        features.verify(Settings())
    changed(releases / "support", prompt_version="support/99")
    with pytest.raises(NotFound, match="no prompt 'support/99'"):
        features.verify(Settings())


def test_a_mismatch_ends_the_start_with_status_2_before_the_port_is_bound(
    releases: Path, unbound: None, capsys: pytest.CaptureFixture[str]
) -> None:
    del unbound
    (releases / "support" / "adapter_model.safetensors").write_text("another")
    status, _, err = run(capsys, "--port", "0")
    assert status == 2
    assert err.count("\n") == 1
    assert "adapter_model.safetensors has sha256" in err


def test_a_wrong_settings_key_names_the_nearest(
    tmp_path: Path, unbound: None, capsys: pytest.CaptureFixture[str]
) -> None:
    del unbound
    (tmp_path / "site.yaml").write_text("prot: 80\n")
    status, _, err = run(capsys, "--settings", str(tmp_path / "site.yaml"))
    assert status == 2
    assert "Did you mean 'port'?" in err


def test_a_var_folder_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, unbound: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    del unbound
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FRONTDESK_VAR", str(tmp_path / "file" / "var"))
    status, _, err = run(capsys, "--model", "scripted")
    assert status == 2
    assert "cannot write in" in err
    assert "FRONTDESK_VAR" in err


def test_a_port_in_use_is_a_sentence_with_another_one(
    free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with launch.bind("127.0.0.1", free_port) as taken:
        taken.listen()
        status, _, err = run(capsys, "--model", "scripted", "--port", str(free_port))
    assert status == 2
    assert f"port {free_port} on 127.0.0.1 is in use" in err
    assert f"--port {free_port + 1}" in err


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(InputError, match=r"cannot listen on 203\.0\.113\.1 port"):
        launch.bind("203.0.113.1", 0)


def test_the_banner_shows_settings_and_no_secret() -> None:
    settings = Settings(
        secret="s3cret", database_url="postgresql+psycopg://desk:pa55@db/desk", port=7001
    )
    shown = launch.banner(settings, {"support": "support-7"}, "http://127.0.0.1:7001")
    assert "s3cret" not in shown
    assert "pa55" not in shown
    assert "postgresql+psycopg://desk:***@db/desk" in shown
    assert "release support: support-7" in shown
    assert shown.endswith("http://127.0.0.1:7001")


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "http://127.0.0.1:"), ("127.0.0.1", "http://127.0.0.1:")]
)
def test_the_url_is_one_that_a_browser_here_can_open(host: str, shown: str) -> None:
    with launch.bind(host, 0) as listener:
        assert re.fullmatch(re.escape(shown) + r"\d+", launch.url(listener))


# Preparing --------------------------------------------------------------------------------------


def test_preparing_says_what_it_does_and_is_done_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def weights(ref: str) -> str:
        asked.append(ref)
        return "there"

    monkeypatch.setattr(prepare, "_weights", weights)
    monkeypatch.setattr(prepare, "_learnt", lambda: "2 models")
    prepare.prepare()
    first = capsys.readouterr().out
    assert "[5/5] demo shop (2,000 order lines, 1 s the first time)" in first
    assert "2000 lines" in first
    store = open_store(load().database)
    conversation = store.conversations.create("visitor:a", "en")
    prepare.prepare()
    assert "2000 lines" in capsys.readouterr().out
    assert store.conversations.get("visitor:a", conversation)
    assert len(asked) == 4
    store.close()


# Whole programs ---------------------------------------------------------------------------------


@contextmanager
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m app --model scripted`, ready; its process and URL."""
    environment = {**os.environ, "FRONTDESK_VAR": str(tmp_path / "var")}
    program = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", "0", "--model", "scripted"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    try:
        lines = iter(program.stdout.readline, "")
        address = next(line.strip() for line in lines if line.strip().startswith("http"))
        until_ready(address)
        yield program, address
    finally:
        program.kill()
        program.communicate()


def until_ready(address: str) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("not ready in 120 s")


def ask(address: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], **more}
    response = httpx.post(f"{address}/v1/chat/completions", json=body, trust_env=False)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.slow
def test_ctrl_c_ends_it_soon_and_a_restart_knows_the_conversation(tmp_path: Path) -> None:
    with running(tmp_path) as (program, address):
        first = ask(address, "How long does delivery to Germany take?")["frontdesk"]
        assert httpx.get(address, trust_env=False).status_code == 200
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=30)  # 1 s on an idle machine
        assert program.returncode == 130
        assert "stopped" in err
        assert "Traceback" not in err
    with running(tmp_path) as (_, address):
        follow = {"conversation_id": first["conversation_id"]}
        second = ask(address, "And to the UK?", frontdesk=follow)["frontdesk"]
        assert second["conversation_id"] == first["conversation_id"]


@pytest.mark.slow
def test_a_kill_loses_at_most_the_turn_in_flight(tmp_path: Path) -> None:
    conversation = ""
    for _ in range(3):
        with running(tmp_path) as (program, address):
            more = {"frontdesk": {"conversation_id": conversation}} if conversation else {}
            conversation = ask(address, "What is decaf?", **more)["frontdesk"]["conversation_id"]
            program.send_signal(signal.SIGKILL)
            program.wait(10)
    store = open_store(f"sqlite:///{tmp_path / 'var' / 'frontdesk.db'}")
    turns = store.conversations.history("address:127.0.0.1", conversation)
    assert [t.role for t in turns] == ["user", "assistant"] * 3
    store.close()
