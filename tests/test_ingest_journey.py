"""The whole way as a user walks it: a running server, and `python -m app ingest` beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.files import ROOT
from app.store.db import open_store
from tests.helpers_ingest import docx, paragraph, pdf
from tests.helpers_server import ready

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ASKED = "How long is a Zanzibar voucher valid?"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ, "FRONTDESK_VAR": str(tmp_path / "var"), "FRONTDESK_MODEL": "scripted",
        "FRONTDESK_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip


@pytest.fixture
def page(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """A server on a free port, ready."""
    log = tmp_path / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "--port", "0"],
            cwd=ROOT, env=environment, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        yield ready(log)
    finally:
        process.terminate()
        process.wait(30)


def ask(page: str, question: str = ASKED) -> str:
    """The answer with the passages that it cites."""
    body = json.dumps({"messages": [{"role": "user", "content": question}]}).encode()
    request = urllib.request.Request(
        f"{page}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        told: dict[str, Any] = json.load(response)
    cited = [citation["passage"] for citation in told["frontdesk"]["citations"]]
    return "\n".join([told["choices"][0]["message"]["content"].replace(ASKED, ""), *cited])


def ingest(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "ingest", *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_is_ingested_edited_and_deleted_is_what_the_running_chat_says(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "our help"
    folder.mkdir()
    assert "valid for" not in ask(page)
    voucher = folder / "代金券 voucher.md"
    voucher.write_text("# Vouchers\n\nA Zanzibar voucher is valid for 3 years.")
    (folder / "kettle.pdf").write_bytes(pdf([[("h1", "Kettle"), ("p", "Zebra kettles whistle.")]]))
    (folder / "cups.docx").write_bytes(docx(paragraph("Yak cups hold 300 ml.")))
    (folder / "faq.csv").write_text(
        "question,answer\nDo you gift-wrap yarn?,Yes, we gift-wrap yarn in linen.\n"
    )
    (folder / "bomb.docx").write_bytes(docx("", word__document_xml=b"\0" * 30_000_000))
    done = ingest(environment, folder)
    assert (done.returncode, done.stderr) == (0, "read 5 of 5\n")
    assert "3 added" in done.stdout
    assert "faq.csv" in done.stdout.partition("not read")[2]  # a comma too many in its answer
    assert "bomb.docx: unpacks word/document.xml" in done.stdout
    assert "valid for 3 years" in ask(page)
    assert "Zebra kettles whistle." in ask(page, "Which kettles whistle?")
    assert "Yak cups hold 300 ml." in ask(page, "How much do yak cups hold?")

    voucher.write_text("# Vouchers\n\nA Zanzibar voucher is valid for 5 years.")
    (folder / "faq.csv").write_text(
        'question,answer\nDo you gift-wrap yarn?,"Yes, we gift-wrap yarn in linen."\n'
    )
    told = json.loads(ingest(environment, folder, "--json").stdout)
    assert (told["changed"], told["added"]) == (["代金券 voucher.md"], ["faq.csv"])
    assert sorted(told["unchanged"]) == ["cups.docx", "kettle.pdf"]
    answer = ask(page)
    assert "valid for 5 years" in answer
    assert "3 years" not in answer
    assert "in linen" in ask(page, "Do you gift-wrap yarn?")

    voucher.write_text("---\nvisibility: agents\n---\n\nA Zanzibar voucher is valid for 9 years.")
    ingest(environment, folder)
    assert "valid for" not in ask(page)

    voucher.unlink()
    assert "removed   代金券 voucher.md" in ingest(environment, folder).stdout
    assert "valid for" not in ask(page)

    assert ingest(environment, folder, "--remove").returncode == 0
    assert "Zebra" not in ask(page, "Which kettles whistle?")


def test_a_folder_of_nothing_is_a_sentence_and_2(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    done = ingest(environment, tmp_path / "empty")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_an_ingest_killed_at_any_time_leaves_all_of_the_old_or_all_of_the_new(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "help"
    folder.mkdir()

    def write(version: int) -> None:
        for number in range(40):
            (folder / f"{number}.md").write_text(f"Version {version} of article {number}.")

    write(0)
    assert ingest(environment, folder).returncode == 0
    for version, seconds in enumerate((0.6, 1.0, 1.4, 1.8), 1):
        write(version)
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "ingest", str(folder)],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(seconds)
        process.kill()
        process.wait(10)
        store = open_store(f"sqlite:///{tmp_path / 'var' / 'frontdesk.db'}")
        versions = {doc["text"].split()[1] for doc in store.articles.docs()}
        store.close()
        assert len(versions) == 1
    assert ingest(environment, folder).returncode == 0
