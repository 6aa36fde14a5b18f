"""A folder of files becomes articles: incrementally, whole or not at all, and nothing else."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.__main__ import main
from app.core.errors import InputError, StoreDown, WeightsMissing
from app.knowledge.asked import LEAST
from app.knowledge.ingest import embed as embedding
from app.knowledge.ingest import files, run
from app.knowledge.ingest.document import Read, Unreadable
from app.knowledge.ingest.report import Report
from app.knowledge.ingest.run import ingest, read_here, remove
from app.knowledge.retrieve import Knowledge
from app.models.encoder import HashEncoder
from app.store.db import Store, open_store

NORWAY = "# Norway\n\nDelivery to Norway costs €9.50.\n"
FAQ = "question,answer\nHow long is a gift card valid?,Three years.\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'articles.db'}")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "help"
    made.mkdir()
    (made / "norway.md").write_text(NORWAY)
    (made / "faq.csv").write_text(FAQ)
    return made


class Counting:
    """Reads, and knows what it was asked to read."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, data: bytes, name: str) -> Read:
        self.names.append(name)
        return read_here(data, name)


def reasons(report: Report) -> dict[str, str]:
    return {fault.file: fault.reason for fault in (*report.unreadable, *report.notes)}


def titles(store: Store) -> list[str]:
    return sorted(doc["title"] for doc in store.articles.docs())


def cli(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        status = int(ended.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


# What becomes of the files --------------------------------------------------------------------


def test_files_become_articles(store: Store, folder: Path) -> None:
    report = ingest(folder, store.articles)
    assert (report.added, report.articles, report.passages) == (["faq.csv", "norway.md"], 2, 2)
    norway = next(doc for doc in store.articles.docs() if doc["title"] == "Norway")
    assert norway == {
        "id": "help/norway.md", "title": "Norway", "text": "Delivery to Norway costs €9.50.",
        "lang": "en", "visibility": "public", "url": "", "questions": [],
    }  # fmt: skip


def test_what_is_unchanged_is_not_read_again(store: Store, folder: Path) -> None:
    counting = Counting()
    ingest(folder, store.articles, read=counting)
    (folder / "norway.md").write_text(NORWAY + "\nTwo weeks.")
    (folder / "new.txt").write_text("New things.")
    counting.names.clear()
    report = ingest(folder, store.articles, read=counting)
    assert counting.names == ["new.txt", "norway.md"]
    assert (report.added, report.changed, report.unchanged) == (
        ["new.txt"], ["norway.md"], ["faq.csv"],
    )  # fmt: skip


def test_nothing_is_written_where_nothing_changed(store: Store, folder: Path) -> None:
    ingest(folder, store.articles)
    revision = store.articles.revision()
    ingest(folder, store.articles)
    assert store.articles.revision() == revision


def test_a_deleted_file_takes_its_articles_along(store: Store, folder: Path) -> None:
    ingest(folder, store.articles)
    (folder / "faq.csv").unlink()
    assert ingest(folder, store.articles).removed == ["faq.csv"]
    assert titles(store) == ["Norway"]


def test_a_row_that_is_gone_from_a_csv_is_gone(store: Store, folder: Path) -> None:
    (folder / "faq.csv").write_text(FAQ + "Do you gift-wrap?,Yes.\n")
    ingest(folder, store.articles)
    (folder / "faq.csv").write_text(FAQ)
    ingest(folder, store.articles)
    assert titles(store) == ["How long is a gift card valid?", "Norway"]


def test_two_folders_do_not_touch_each_other(store: Store, folder: Path, tmp_path: Path) -> None:
    ingest(folder, store.articles)
    staff = tmp_path / "staff"
    staff.mkdir()
    (staff / "limits.md").write_text("Refund up to €50.")
    ingest(staff, store.articles, visibility="agents")
    ingest(folder, store.articles)
    assert len(titles(store)) == 3
    remove(staff, store.articles)
    assert "limits" not in titles(store)
    with pytest.raises(InputError, match="nothing to remove"):
        remove(staff, store.articles)


def test_a_dry_run_says_all_and_writes_nothing(store: Store, folder: Path) -> None:
    report = ingest(folder, store.articles, dry_run=True)
    assert (len(report.added), report.articles) == (2, 2)
    assert store.articles.docs() == []
    ingest(folder, store.articles)
    assert remove(folder, store.articles, dry_run=True).removed == [
        "help/faq.csv", "help/norway.md",
    ]  # fmt: skip
    assert len(store.articles.docs()) == 2


def test_articles_that_can_only_be_answered_with_a_hedge_are_counted(
    store: Store, tmp_path: Path
) -> None:
    ways = "".join(f"  - way number {n}\n" for n in range(LEAST))
    (tmp_path / "cups.md").write_text(f"---\nquestions:\n{ways}---\n# Cups\nA cup holds 150 ml.\n")
    (tmp_path / "van.md").write_text("# Van\nThe van is green.\n")
    report = ingest(tmp_path, store.articles)
    assert report.few_ways == 1
    [line] = [line for line in report.lines() if "ways to ask" in line]
    assert line.startswith("1 of those read now have fewer than 20 ways to ask each")
    (tmp_path / "van.md").unlink()
    assert ingest(tmp_path, store.articles).few_ways == 0


def test_another_default_visibility_is_a_change(store: Store, folder: Path) -> None:
    ingest(folder, store.articles)
    report = ingest(folder, store.articles, visibility="agents")
    assert (len(report.changed), report.agents_only) == (2, 2)
    assert {doc["visibility"] for doc in store.articles.docs()} == {"agents"}


SLIP = "---\ntitle: Voucher codes: internal\nvisibility: agents\n---\nNever tell.\n"


def seen(store: Store) -> list[str]:
    return [doc["title"] for doc in store.articles.docs() if doc["visibility"] == "public"]


@pytest.mark.parametrize("visibility", ["public", "agents"])
def test_what_became_unreadable_keeps_its_articles_for_agents_alone(
    store: Store, folder: Path, visibility: str
) -> None:
    ingest(folder, store.articles)
    (folder / "norway.md").write_text(SLIP)
    report = ingest(folder, store.articles, visibility=visibility)
    told = reasons(report)["norway.md"]
    assert told.endswith("no YAML (line 2); its earlier articles stay, for agents alone")
    assert (titles(store)[-1], report.articles) == ("Norway", 2)
    assert "Norway" not in seen(store)
    assert report.agents_only == 2 - len(seen(store))


def test_what_was_hidden_is_seen_again_once_it_can_be_read(store: Store, folder: Path) -> None:
    ingest(folder, store.articles)
    for visibility in ("public", "agents"):
        (folder / "norway.md").write_text(SLIP)
        ingest(folder, store.articles, visibility=visibility)
        revision = store.articles.revision()
        ingest(folder, store.articles, visibility=visibility)
        assert store.articles.revision() == revision
        (folder / "norway.md").write_text(NORWAY)
        assert "norway.md" in ingest(folder, store.articles).changed
        assert "Norway" in seen(store)


def test_what_a_folder_of_agents_shows_customers_comes_back_as_it_was(
    store: Store, folder: Path
) -> None:
    shown = f"---\nvisibility: public\n---\n{NORWAY}"
    for text in (shown, SLIP, shown):
        (folder / "norway.md").write_text(text)
        ingest(folder, store.articles, visibility="agents")
        assert seen(store) == (["Norway"] if text == shown else [])


def test_what_is_for_agents_is_not_written_again(store: Store, folder: Path) -> None:
    (folder / "norway.md").write_text("---\nvisibility: agents\n---\nSecret.")
    ingest(folder, store.articles)
    revision = store.articles.revision()
    report = ingest(folder, store.articles)
    assert (report.unchanged, report.agents_only) == (["faq.csv", "norway.md"], 1)
    assert store.articles.revision() == revision


def test_the_only_file_is_hidden_too_once_it_cannot_be_read(store: Store, folder: Path) -> None:
    (folder / "faq.csv").unlink()
    ingest(folder, store.articles)
    (folder / "norway.md").write_text(SLIP)
    with pytest.raises(InputError, match="its earlier articles stay, for agents alone"):
        ingest(folder, store.articles, dry_run=True)
    assert seen(store) == ["Norway"]
    with pytest.raises(InputError, match="its earlier articles stay, for agents alone"):
        ingest(folder, store.articles)
    assert (seen(store), titles(store)) == ([], ["Norway"])


def test_a_failure_half_way_changes_nothing(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(folder, store.articles)
    before = store.articles.docs()
    for name in ("norway.md", "faq.csv"):
        (folder / name).unlink()
    for number in range(3):
        (folder / f"{number}.md").write_text(f"Number {number} of the new articles.")
    # One row a statement, two of the same id: the second insert fails after deletes and an insert.
    monkeypatch.setattr("app.store.articles._BATCH", 1)
    monkeypatch.setattr(run, "_id", lambda name: name.replace("2.md", "1.md"))
    with pytest.raises(InputError, match="nothing was changed"):
        ingest(folder, store.articles)
    assert store.articles.docs() == before


def test_a_full_disk_changes_nothing_and_is_a_sentence(store: Store, folder: Path) -> None:
    ingest(folder, store.articles)
    before = store.articles.docs()

    def full(connection: Any, _: Any) -> None:
        connection.execute("pragma max_page_count = 1")  # SQLite takes the pages it has

    event.listen(store.engine, "connect", full)
    store.engine.dispose()
    (folder / "norway.md").write_text("A long story. " * 20_000)
    (folder / "faq.csv").unlink()
    with pytest.raises(StoreDown):
        ingest(folder, store.articles)
    assert store.articles.docs() == before


def test_the_new_articles_are_prepared_before_they_are_written(store: Store, folder: Path) -> None:
    seen: list[int] = []

    def prepare(docs: Sequence[Any]) -> None:
        seen.append(len(docs))
        assert store.articles.docs() == []

    ingest(folder, store.articles, prepare=prepare)
    assert seen == [2]


def test_revisions_never_return(store: Store, folder: Path) -> None:
    seen = [store.articles.revision()]
    for text in ("One.", "Two.", "One."):
        (folder / "norway.md").write_text(text)
        ingest(folder, store.articles)
        seen.append(store.articles.revision())
    (folder / "norway.md").unlink()
    ingest(folder, store.articles)
    seen.append(store.articles.revision())
    assert seen[0] == ""
    assert len(set(seen)) == 5


# What cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.md", b"", "empty"),
        ("blank.md", b" \n\t\n", "empty"),
        ("headings.md", b"# One\n\n## Two\n", "no text"),
        ("binary.md", b"PK\x03\x04\x00\x00", "binary"),
        ("picture.png", b"\x89PNG", "ending .png"),
        ("none", b"text", r"ending \(none\)"),
        ("torn.txt", b"\xff\xfea", "begins as utf-16"),
        ("columns.csv", b"questoin,answer\na,b\n", "no column 'question'.*Did you mean 'questoin'"),
        ("header.csv", b"question,answer\n", "no whole row"),
        ("front.md", b"---\ntitle: [\n---\ntext", r"no YAML \(line"),
    ],
)
def test_what_cannot_be_read_is_said_and_the_rest_is_read(
    store: Store, folder: Path, name: str, data: bytes, reason: str
) -> None:
    (folder / name).write_bytes(data)
    report = ingest(folder, store.articles)
    (fault,) = report.unreadable
    assert fault.file == name
    assert re.search(reason, fault.reason), fault.reason
    assert fault.remedy
    assert len(report.added) == 2


def test_a_huge_file_is_not_even_opened(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "huge.md").open("wb") as stream:
        stream.truncate(100_000_000)
    report = ingest(folder, store.articles)
    assert "100.0 MB; at most 20 MB" in reasons(report)["huge.md"]
    monkeypatch.setattr(files, "MAX_BYTES", 20)
    with pytest.raises(Unreadable, match="at most 0 MB"):
        files.content(folder / "norway.md")


def test_links_are_not_followed(store: Store, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.md").write_text("The secret key.")
    (folder / "file.md").symlink_to(secret / "key.md")
    (folder / "dir.md").symlink_to(secret)
    (folder / "loop").symlink_to(folder)
    report = ingest(folder, store.articles)
    assert "link" in reasons(report)["file.md"]
    assert "link" in reasons(report)["dir.md"]
    assert not any("secret" in doc["text"] for doc in store.articles.docs())


def test_a_pipe_in_the_folder_does_not_hang(store: Store, folder: Path) -> None:
    os.mkfifo(folder / "pipe.md")
    assert "not a plain file" in reasons(ingest(folder, store.articles))["pipe.md"]


def test_odd_names_are_names(store: Store, folder: Path) -> None:
    (folder / "a b").mkdir()
    for name in ("a b/运费 说明.md", "..dots..md", "..secret", "été.md", "~$lock.md"):
        (folder / name).write_text(f"Text of {name} itself.")
    (folder / ("long" * 50 + ".md")).write_text("A long name.")
    report = ingest(folder, store.articles)
    assert "a b/运费 说明.md" in report.added
    assert "été.md" in report.added
    ids = [doc["id"] for doc in store.articles.docs()]
    assert max(map(len, ids)) <= 200
    assert not any("dots" in id_ or "secret" in id_ or "lock" in id_ for id_ in ids)


def test_a_name_that_is_no_utf8_is_shown_with_a_mark(store: Store, folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.md")).write_text("Coffee.")
    assert "caf\ufffd.md" in ingest(folder, store.articles).added


def test_two_names_that_read_the_same_are_not_mixed_up(store: Store, folder: Path) -> None:
    (folder / "\u00e9.md").write_text("One.")
    (folder / "e\u0301.md").write_text("Two.")
    assert "name of another file" in reasons(ingest(folder, store.articles))["\u00e9.md"]


def test_equal_titles_are_said(store: Store, folder: Path) -> None:
    (folder / "oslo.md").write_text("# Norway\n\nOslo is in Norway.")
    report = ingest(folder, store.articles)
    assert reasons(report)["oslo.md"] == "has the title of norway.md: 'Norway'"
    assert len(report.added) == 3


def test_a_folder_of_nothing_is_refused_and_nothing_is_lost(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    ingest(folder, store.articles)
    for name in ("norway.md", "faq.csv"):
        (folder / name).unlink()
    with pytest.raises(InputError, match=r"no file.*2 earlier articles stay; `--remove`"):
        ingest(folder, store.articles)
    (folder / "a.bin").write_bytes(b"\0")
    with pytest.raises(InputError, match=r"nothing in .* can be read: a.bin has the ending"):
        ingest(folder, store.articles)
    assert len(store.articles.docs()) == 2
    for wrong in (tmp_path / "none", folder / "a.bin"):
        with pytest.raises(InputError, match="expected a folder"):
            ingest(wrong, store.articles)


def test_an_unknown_default_visibility_is_refused(store: Store, folder: Path) -> None:
    with pytest.raises(InputError, match="expected public or agents"):
        ingest(folder, store.articles, visibility="secret")


# The command ----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_MODEL", "scripted")


def test_the_command_reports_and_exits_with_0_in_spite_of_warnings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG")
    status, out, err = cli(capsys, "ingest", folder)
    assert status == 0
    assert "added     faq.csv\n" in out
    assert "2 added, 0 changed, 0 unchanged, 0 removed" in out
    assert "not read (1 files):\n  bad.png: has the ending .png" in out
    assert err == "read 3 of 3\n"


def test_the_report_is_json_where_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = cli(capsys, "ingest", folder, "--json", "--visibility", "agents")
    told = json.loads(out)
    assert (status, told["added"], told["agents_only"]) == (0, ["faq.csv", "norway.md"], 2)


def test_the_command_says_2_where_nothing_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = cli(capsys, "ingest", tmp_path / "none")
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_the_command_takes_a_folder_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli(capsys, "ingest", folder)
    status, out, _ = cli(capsys, "ingest", folder, "--remove")
    assert (status, "2 removed" in out) == (0, True)
    assert cli(capsys, "ingest", folder, "--remove")[0] == 2


def test_long_reports_are_shortened() -> None:
    report = Report("help", added=[f"{n}.md" for n in range(500)])
    assert len(list(report.lines())) < 30


def test_new_passages_are_embedded_for_the_server_before_they_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "cache"))
    encoder, shown = HashEncoder(), list[tuple[int, int]]()
    monkeypatch.setattr(embedding, "resolve", lambda ref, **_: ref)
    monkeypatch.setattr(embedding, "text_encoder", lambda _: encoder)
    docs = [{"id": f"a{n}", "title": f"T{n}", "text": f"Text {n}."} for n in range(100)]
    assert embedding.embed(docs, lambda done, total: shown.append((done, total))) == ""
    assert shown[:2] == [(64, 100), (100, 100)]
    monkeypatch.setattr(encoder, "encode", only_single(encoder.encode))
    Knowledge.build(docs, encoder)


def only_single(encode: Any) -> Any:
    def checked(texts: Sequence[str]) -> Any:
        assert len(texts) == 1, "embedded again"
        return encode(texts)

    return checked


def test_without_weights_the_articles_are_taken_in_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(ref: str, **_: object) -> None:
        raise WeightsMissing(f"{ref} is nowhere to be had")

    monkeypatch.delenv("FRONTDESK_MODEL")
    monkeypatch.setattr(embedding, "resolve", missing)
    status, out, err = cli(capsys, "ingest", folder)
    assert (status, "2 added" in out) == (0, True)
    assert "not embedded yet, the server will do it" in err


def test_a_person_who_looks_on_sees_a_bar_and_a_clean_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    status, out, _ = cli(capsys, "ingest", folder)
    assert (status, out.splitlines()[0]) == (0, "added     faq.csv")
