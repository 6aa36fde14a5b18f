"""PDF and DOCX: structure, what is hidden, and files made to hurt; the child that reads them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.files import ROOT
from app.knowledge.ingest import docx as docx_reader
from app.knowledge.ingest import pdf as pdf_reader
from app.knowledge.ingest import readers, worker
from app.knowledge.ingest.document import Read, Unreadable
from app.knowledge.ingest.sandbox import Sandbox
from app.knowledge.split import split
from tests.helpers_ingest import W, docx, paragraph, pdf, table

LONG = (
    "Descale the Heron kettle every six weeks with a cup of vinegar, because lime slows it down, "
    "wastes power and shortens its life by years. Rinse it twice."
)


def text(data: bytes) -> str:
    reader = pdf_reader if data.startswith(b"%PDF") else docx_reader
    return reader.read(data, "name").documents[0].text


# PDF ------------------------------------------------------------------------------------------


def test_a_pdf_is_read_by_headings_paragraphs_and_items() -> None:
    read = pdf_reader.read(
        pdf([[("h1", "Caring for it"), ("p", LONG), ("p", "Never use a dishwasher."),
              ("h2", "Parts"), ("li", "- a lid"), ("li", "- a filter")]]), "name",
    )  # fmt: skip
    (found,) = read.documents
    assert found.title == "Caring for it"
    assert found.text == (f"{LONG}\n\nNever use a dishwasher.\n\n## Parts\n\n- a lid\n- a filter")


def test_a_sentence_goes_on_over_the_page_and_running_titles_are_left_out() -> None:
    pages = [
        [("foot", f"Heron manual, page {n}"), ("p", f"{LONG} Part {n} says that"), ("foot", "2026")]
        for n in range(4)
    ]
    found = text(pdf(pages))
    assert "manual" not in found
    assert "2026" not in found
    assert "Part 0 says that Descale" in found


def test_a_hyphen_at_the_end_of_a_line_is_taken_away() -> None:
    assert "considerably" in text(pdf([[("p", "It shortens its life consider-\nably.")]]))


def test_an_encrypted_pdf_is_named() -> None:
    with pytest.raises(Unreadable, match="encrypted"):
        pdf_reader.read(pdf([[("p", LONG)]], password="secret"), "name")


def test_a_scanned_pdf_is_named_and_its_empty_pages_too() -> None:
    with pytest.raises(Unreadable, match="pictures"):
        pdf_reader.read(pdf([[], []]), "name")
    notes = pdf_reader.read(pdf([[("p", LONG)], [], []]), "name").notes
    assert notes[0].reason == "no text on page 2, 3"


def test_a_pdf_of_too_many_pages_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_reader, "MAX_PAGES", 2)
    with pytest.raises(Unreadable, match="3 pages; at most 2"):
        pdf_reader.read(pdf([[("p", LONG)]] * 3), "name")


@given(cut=st.integers(0, 900), flip=st.integers(0, 900))
@settings(max_examples=40, deadline=None)
def test_a_torn_pdf_is_read_or_named(cut: int, flip: int) -> None:
    data = bytearray(_PDF)
    data[flip] ^= 0xFF
    try:
        pdf_reader.read(bytes(data[: len(data) - cut]), "name")
    except Unreadable as error:
        assert "PDF" in error.reason or "text" in error.reason  # noqa: PT017


_PDF = pdf([[("h1", "Caring"), ("p", LONG)]])


# DOCX -----------------------------------------------------------------------------------------


def test_a_docx_is_read_by_the_names_of_its_styles() -> None:
    numbered = '<w:numPr><w:numId w:val="3"/></w:numPr>'
    body = (
        paragraph("Returns", "berschrift1") + paragraph("Thirty days.")
        + paragraph("Steps", "2") + paragraph("Print", more=numbered)
        + paragraph("Pack", more=numbered) + paragraph("Note", "LB")
        + table([["Country", "Price"], ["Norway", "9.50"]])
    )  # fmt: skip
    read = docx_reader.read(docx(body), "name")
    assert read.documents[0].title == "Returns"
    assert read.documents[0].text == (
        "Thirty days.\n\n## Steps\n\n1. Print\n2. Pack\n- Note\n\n"
        "| Country | Price |\n| --- | --- |\n| Norway | 9.50 |"
    )
    rows = split({"id": "a", "text": read.documents[0].text})
    assert rows[-1].passage.text == "- Country: Norway; Price: 9.50"


def test_a_docx_is_read_with_its_changes_taken_and_without_what_is_hidden() -> None:
    body = (
        "<w:p><w:r><w:t>It costs </w:t></w:r>"
        "<w:del><w:r><w:delText>10</w:delText><w:t>10</w:t></w:r></w:del>"
        "<w:ins><w:r><w:t>12</w:t></w:r></w:ins>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r>"
        "<w:hyperlink><w:r><w:t> euros</w:t><w:instrText>FIELD</w:instrText></w:r></w:hyperlink>"
        "</w:p><w:sdt><w:sdtContent>" + paragraph("In a control.") + "</w:sdtContent></w:sdt>"
    )
    assert text(docx(body)) == "It costs 12 euros\n\nIn a control."


@pytest.mark.parametrize("look", ["strike", "dstrike"])
def test_what_is_struck_out_in_a_docx_is_not_read(look: str) -> None:
    struck = f"<w:r><w:rPr><w:{look}/></w:rPr><w:t>10 </w:t></w:r>"
    live = f'<w:r><w:rPr><w:{look} w:val="0"/></w:rPr><w:t>12 euros</w:t></w:r>'
    assert text(docx(f"<w:p><w:r><w:t>It costs </w:t></w:r>{struck}{live}</w:p>")) == (
        "It costs 12 euros"
    )


def cell(text: str, more: str = "", bold: bool = False) -> str:
    look = "<w:rPr><w:b/></w:rPr>" if bold else ""
    return f"<w:tc><w:tcPr>{more}</w:tcPr><w:p><w:r>{look}<w:t>{text}</w:t></w:r></w:p></w:tc>"


def row(*cells: str, more: str = "") -> str:
    return f"<w:tr><w:trPr>{more}</w:trPr>{''.join(cells)}</w:tr>"


def rows(*made: str) -> list[str]:
    found = text(docx(f"<w:tbl>{''.join(made)}</w:tbl>"))
    return [section.passage.text for section in split({"id": "a", "text": found})]


@pytest.mark.parametrize(
    "table_rows",
    [
        [["Monday", "9-17"], ["Sunday", "closed"]], [["Sunday", "closed"], ["Monday", "9-17"]],
        [["周日", "休息"], ["周一", "9-17"]], [["Tea", "loose"], ["Cup", "white"]],
        [["Delivery is free to all of our shops", "yes"], ["Delivery to Norway", "9"]],
    ],
)  # fmt: skip
def test_a_first_row_of_data_names_nothing(table_rows: list[list[str]]) -> None:
    found = rows(*(row(*map(cell, cells)) for cells in table_rows))
    assert found == [f"- {'; '.join(cells)}" for cells in table_rows]


def test_a_first_row_that_is_marked_or_stands_out_names_the_columns() -> None:
    body = row(cell("Tea"), cell("loose"))
    repeated = row(cell("Item"), cell("Kind"), more="<w:tblHeader/>")
    styled = (
        f"<w:tr><w:tc>{paragraph('Item', '2')}</w:tc><w:tc>{paragraph('Kind', '2')}</w:tc></w:tr>"
    )
    bold = row(cell("Item", bold=True), cell("Kind", bold=True))
    for head in (repeated, styled, bold):
        assert rows(head, body) == ["- Item: Tea; Kind: loose"]
    off = row(cell("Item"), cell("Kind"), more='<w:tblHeader w:val="0"/>')
    for head, below in ((off, body), (bold, row(cell("Tea", bold=True), cell("loose", bold=True)))):
        assert rows(head, below) == ["- Item; Kind", "- Tea; loose"]


def test_a_cell_stands_in_all_rows_and_columns_that_it_spans() -> None:
    head = row(cell("To"), cell("Parcel"), cell("Price"))
    begins, goes_on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    made = rows(
        head,
        row(cell("Norway", begins), cell("small"), cell("9")),
        row(cell("", goes_on), cell("large"), cell("19")),
        row(cell("UK"), cell("7", '<w:gridSpan w:val="2"/>')),
        row(cell("small"), cell("3"), more='<w:gridBefore w:val="1"/>'),
        row(cell("All of 2026", '<w:gridSpan w:val="3"/>')),
    )
    assert made == [
        "- To: Norway; Parcel: small; Price: 9", "- To: Norway; Parcel: large; Price: 19",
        "- To: UK; Parcel: 7; Price: 7", "- Parcel: small; Price: 3", "- All of 2026",
    ]  # fmt: skip


def test_a_row_that_is_deleted_as_a_change_is_not_read() -> None:
    gone = row(cell("Norway"), cell("8"), more="<w:del/>")
    head, body = row(cell("To"), cell("Price")), row(cell("Norway"), cell("9"))
    assert rows(gone, head, gone, body) == ["- To: Norway; Price: 9"]


def test_a_table_in_a_table_stays_in_its_cell() -> None:
    inner = table([["small", "9"], ["large", "19"]])
    outer = row(cell("To"), cell("Price")) + f"<w:tr>{cell('UK')}<w:tc>{inner}</w:tc></w:tr>"
    assert rows(outer) == ["- To: UK; Price: small 9 large 19"]


def zip_of(**parts: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in parts.items():
            package.writestr(name, data)
    return out.getvalue()


ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    f"<w:document {W}><w:body>&b;</w:body></w:document>"
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04torn", "no whole DOCX"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted, or of Word before"),
        (zip_of(other=b"x"), "no DOCX"),
        (docx("<w:p>"), "XML that cannot be parsed"),
        (docx("", word__document_xml=ENTITIES), "XML that cannot be parsed"),
        (docx("", word__document_xml=b"\x00" * 30_000_000), "unpacks word/document.xml to over"),
        (docx("", **{"word__media__bomb": b"\x00" * 320_000_000}), "unpacks to 320 MB"),
    ],
    ids=["torn", "ole", "no-document", "broken-xml", "entities", "bomb", "bomb-beside"],
)
def test_a_docx_made_to_hurt_is_named(data: bytes, reason: str) -> None:
    assert len(data) < 500_000
    with pytest.raises(Unreadable, match=reason):
        docx_reader.read(data, "name")


_DOCX = docx(paragraph("Returns", "berschrift1") + paragraph(LONG))


@given(
    cut=st.integers(0, len(_DOCX)), flip=st.integers(0, len(_DOCX) - 1), bits=st.integers(1, 255)
)
@settings(max_examples=150, deadline=None)
def test_a_torn_docx_is_read_or_named(cut: int, flip: int, bits: int) -> None:
    data = bytearray(_DOCX)
    data[flip] ^= bits
    for torn in (bytes(data), _DOCX[:cut]):
        try:
            docx_reader.read(torn, "name")
        except Unreadable as error:
            assert "DOCX" in error.reason or "XML" in error.reason or "unpacks" in error.reason  # noqa: PT017


def test_a_zip_within_a_docx_is_never_opened() -> None:
    bomb = zip_of(inner=b"\x00" * 50_000_000)
    assert text(docx(paragraph("Fine."), **{"word__embeddings__x.docx": bomb})) == "Fine."


# The child ------------------------------------------------------------------------------------


def test_the_child_reads_one_file_after_the_other() -> None:
    with Sandbox() as read:
        assert read(b"# One\n\nText \xe4\xbd\xa0.", "a.md").documents[0].title == "One"
        with pytest.raises(Unreadable, match="binary"):
            read(b"\0", "b.md")
        assert read(_PDF, "c.pdf").documents[0].title == "Caring"
        first = read._child
        assert read(b"question,answer\na?,b\n", "d.csv").documents[0].questions == ["a?"]
        assert read._child is first


def test_a_file_that_hangs_its_parser_costs_its_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "hanging.py"
    hanging.write_text(
        "import sys, time\n"
        "from app.knowledge.ingest import readers, worker\n"
        "def hang(data, name):\n    time.sleep(60)\n"
        "def die(data, name):\n    import os; os._exit(11)\n"
        "readers.READERS['.html'] = hang\n"
        "readers.READERS['.pdf'] = die\n"
        "worker.main()\n"
    )

    def start(_: Sandbox) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(hanging)], env={"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    monkeypatch.setattr(Sandbox, "_start", start)
    with Sandbox() as read:
        assert read(b"Text.", "a.md").documents
        with pytest.raises(Unreadable, match="broke its parser"):
            read(b"x", "b.pdf")
        read(b"Text.", "a.md")
        read._seconds = 0.2
        with pytest.raises(Unreadable, match="took over 0 s"):
            read(b"x", "c.html")
        read._seconds = 30
        assert read(b"Text.", "d.md").documents


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_the_child_has_bounded_memory_and_writes_no_file(tmp_path: Path) -> None:
    code = (
        "import json, sys\n"
        "from app.knowledge.ingest import readers, worker\n"
        "def greedy(data, name):\n    return b'x' * 2_000_000_000\n"
        "def writing(data, name):\n    open(sys.argv[1], 'w').write('x' * 100_000)\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "readers.READERS['.html'] = greedy\n"
        "readers.READERS['.pdf'] = writing\n"
        "worker._limit()\n"
        "for name in ('a.html', 'b.pdf'):\n"
        "    print(json.dumps(worker.answer(b'', name)))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    memory, writing = map(json.loads, out.stdout.splitlines())
    assert "more than 1.5 GB of memory" in memory["reason"]
    assert "OSError" in writing["reason"]


def test_whatever_a_parser_trips_over_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes, name: str) -> Read:
        raise KeyError(data, name)

    monkeypatch.setitem(readers.READERS, ".pdf", fail)
    assert worker.answer(b"", "a.pdf")["reason"] == "cannot be parsed (KeyError)"
    assert re.match("has the ending", worker.answer(b"", "a.exe")["reason"])
