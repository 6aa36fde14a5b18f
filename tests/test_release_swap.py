"""A slot swaps to a new release between turns and keeps the old one where the new one is broken."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from app.core.errors import Mismatch, NotReady, StoreDown
from app.core.files import write_json
from app.core.settings import Settings
from app.services import Services
from app.serving import loading
from app.serving.loading import Loaded, Readiness, Slot
from tests.helpers_server import Fakes, FakeSupport, watching

ME = "visitor:me"


class Release:
    """A release folder, and a loader that reads its id from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[FakeSupport] = []

    def promote(self, release_id: str) -> None:
        write_json(self.folder / "release.json", {"id": release_id})

    def load(self) -> Loaded:
        release_id = (self.folder / "release.json").read_text().split('"')[3]
        if release_id.startswith("broken"):
            raise Mismatch(f"adapter of {release_id} has sha256 0000")
        if release_id.startswith("bug"):
            raise ZeroDivisionError("text that no visitor should see")
        self.made.append(FakeSupport(release_id))
        return Loaded(self.made[-1], release_id)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    made = Release(tmp_path / "release" / "support")
    made.promote("r1")
    return made


@pytest.fixture
def slot(release: Release) -> Slot:
    made = Slot("support", release.load, release.folder)
    made.refresh()
    return made


def test_an_unchanged_release_is_loaded_once(slot: Slot, release: Release) -> None:
    assert not slot.refresh()
    assert len(release.made) == 1


def test_a_new_release_replaces_the_old_one(slot: Slot, release: Release) -> None:
    release.promote("r2")
    assert slot.refresh()
    assert slot.current().release_id == "r2"
    assert slot.state() == {"state": "ready", "release": "r2"}


def test_a_release_of_the_same_size_and_time_is_still_noticed(slot: Slot, release: Release) -> None:
    before = (release.folder / "release.json").stat()
    release.promote("r2")
    os.utime(release.folder / "release.json", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert slot.refresh()
    assert slot.current().release_id == "r2"


@pytest.mark.parametrize(
    ("bad", "error"),
    [("broken", "adapter of broken has sha256 0000"), ("bug", "could not be loaded")],
)
def test_a_release_that_fails_to_load_keeps_the_old_one_and_shows(
    slot: Slot, release: Release, bad: str, error: str
) -> None:
    release.promote(bad)
    slot.refresh()
    assert slot.current().release_id == "r1"
    state = slot.state()
    assert (state["state"], state["release"]) == ("ready", "r1")
    assert error in state["error"]
    assert "no visitor should see" not in state["error"]
    assert Readiness.of([slot]).ready
    assert not slot.refresh()  # not tried again at once


def test_a_release_that_failed_is_tried_again_though_no_file_changed(
    slot: Slot, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot._loads, "_wait_s", 0)
    whole, failures = release.load, [StoreDown("our database cannot be reached at the moment")]

    def load() -> Loaded:
        if failures:
            raise failures.pop()
        return whole()

    monkeypatch.setattr(slot, "_load", load)
    release.promote("r2")
    assert slot.refresh()
    assert slot.current().release_id == "r1"
    assert slot.refresh()
    assert slot.current().release_id == "r2"
    assert slot.state() == {"state": "ready", "release": "r2"}


def test_a_broken_release_that_is_taken_back_shows_no_error(slot: Slot, release: Release) -> None:
    file, aside = release.folder / "release.json", release.folder.parent / "aside"
    file.rename(aside)
    slot.refresh()
    assert "error" in slot.state()
    aside.rename(file)
    slot.refresh()
    assert slot.state() == {"state": "ready", "release": "r1"}


def test_after_a_failure_the_repaired_release_is_taken(slot: Slot, release: Release) -> None:
    release.promote("broken")
    slot.refresh()
    release.promote("r3")
    slot.refresh()
    assert slot.state() == {"state": "ready", "release": "r3"}


def test_an_adapter_that_arrives_after_release_json_is_noticed(
    slot: Slot, release: Release
) -> None:
    release.promote("broken")
    slot.refresh()
    (release.folder / "adapter_model.safetensors").write_bytes(b"whole now")
    assert slot.refresh()


def test_a_release_that_vanishes_leaves_the_old_one_serving(slot: Slot, release: Release) -> None:
    (release.folder / "release.json").unlink()
    slot.refresh()
    assert slot.current().release_id == "r1"


def test_a_feature_that_never_loaded_says_why(release: Release) -> None:
    release.promote("broken")
    slot = Slot("support", release.load, release.folder)
    with pytest.raises(NotReady, match="waking up"):
        slot.current()
    slot.refresh()
    with pytest.raises(Mismatch, match="sha256 0000"):
        slot.current()
    assert slot.state()["state"] == "failed"
    assert not Readiness.of([slot]).ready


def test_a_turn_ends_on_the_release_it_began_with(release: Release) -> None:
    loaders = Fakes().loaders() | {"support": (release.load, release.folder)}
    services = Services(Settings(), load=loaders)
    services.load()
    parts = services.chat(ME, "one two three")
    conversation = next(parts).conversation_id
    next(parts)
    release.promote("r2")
    services.load()
    last = list(parts)[-1]
    assert last.answer is not None
    assert (last.answer.release, last.release) == ("r1", "r1")
    following = list(services.chat(ME, "four", conversation_id=conversation))[-1]
    assert following.release == "r2"
    stored = services.store.conversations.history(ME, conversation)
    assert [t.release for t in stored if t.role == "assistant"] == ["r1", "r2"]
    services.store.close()


def test_the_running_services_notice_a_promote_by_themselves(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "POLL_S", 0.02)
    loaders = Fakes().loaders() | {"support": (release.load, release.folder)}
    services = Services(Settings(), load=loaders)
    services.start()
    seen = threading.Event()
    for release_id in ("r1", "r2"):
        release.promote(release_id)
        for _ in range(200):
            if services.ready().state["support"].get("release") == release_id:
                break
            seen.wait(0.02)
        assert services.ready().state["support"] == {"state": "ready", "release": release_id}
    services.stop()
    assert not watching()
    services.store.close()
