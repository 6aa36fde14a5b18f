"""PDF and DOCX files for the tests, written here: no binary is committed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def pdf(pages: Sequence[Sequence[tuple[str, str]]], *, password: str = "") -> bytes:
    """Pages of (kind, text): h1, h2, p, li, foot (a small line at the end)."""
    from fpdf import FPDF
    from fpdf.enums import AccessPermission, EncryptionMethod

    made = FPDF()
    if password:
        made.set_encryption(
            "owner", password, EncryptionMethod.RC4, permissions=AccessPermission.all()
        )
    sizes = {"h1": 18, "h2": 14, "p": 11, "li": 11, "foot": 8}
    for page in pages:
        made.add_page()
        for kind, text in page:
            made.set_font("Helvetica", style="B" if kind[0] == "h" else "", size=sizes[kind])
            made.multi_cell(0, sizes[kind] / 2, text, new_x="LMARGIN", new_y="NEXT")
            made.ln(0 if kind == "li" else 4)
    return bytes(made.output())


def paragraph(text: str, style: str = "", more: str = "") -> str:
    """A <w:p>."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{more}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A <w:tbl>."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def docx(body: str, **parts: str | bytes) -> bytes:
    """A DOCX around `body`; parts by name, with __ for / and _xml at the end."""
    styles = "".join(
        f'<w:style w:styleId="{id_}"><w:name w:val="{name}"/></w:style>'
        for id_, name in (("berschrift1", "heading 1"), ("2", "heading 2"), ("LB", "List Bullet"))
    )
    numbering = (
        '<w:abstractNum w:abstractNumId="7"><w:lvl><w:numFmt w:val="decimal"/></w:lvl>'
        '</w:abstractNum><w:num w:numId="3"><w:abstractNumId w:val="7"/></w:num>'
    )
    written: dict[str, str | bytes] = {
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
        "word/numbering.xml": f"<w:numbering {W}>{numbering}</w:numbering>",
    }
    written |= {n.replace("__", "/").replace("_xml", ".xml"): data for n, data in parts.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in written.items():
            package.writestr(name, data)
    return out.getvalue()
