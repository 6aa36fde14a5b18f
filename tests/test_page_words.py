"""Words and colours of the page."""

from __future__ import annotations

import re
import string

import pytest

from app.core.files import ROOT
from app.ui import i18n, sentiment, style
from tests.helpers_ui import (
    loaded,
    toasts,
    ui,
)

__all__ = ["loaded", "toasts", "ui"]


def test_both_languages_have_the_same_keys() -> None:
    assert i18n.EN.keys() == i18n.ZH.keys()


@pytest.mark.parametrize("key", i18n.EN)
def test_both_languages_fill_the_same_gaps(key: str) -> None:
    def gaps(words: str) -> set[str | None]:
        return {field for _, field, _, _ in string.Formatter().parse(words) if field}

    assert gaps(i18n.EN[key]) == gaps(i18n.ZH[key])


def test_chinese_words_are_chinese() -> None:
    english_on_purpose = {"page.other_language", "sentiment.placeholder"} | set(sentiment.EXAMPLES)
    plain = [k for k, w in i18n.ZH.items() if not re.search(r"[\u4e00-\u9fff]", w)]
    assert set(plain) <= english_on_purpose


def test_every_key_is_used_and_every_used_key_exists() -> None:
    code = "".join(
        f.read_text("utf-8")
        for f in (ROOT / "app/ui").glob("*.py")
        if not f.name.startswith("i18n")
    )
    groups = "|".join({key.split(".")[0] for key in i18n.EN})
    named = set(re.findall(rf'["\']((?:{groups})\.\w+)["\']', code))
    named -= {"page.css", "page.js"}
    assert named <= i18n.EN.keys()
    computed = re.compile(
        r"(feature|label|category|reason)\.|chat\.(cancelled|length|error|example)|sentiment\.example"
        r"|desk\.(mood_|minutes|hours|days|open|closed|customer|bot|asked|low_confidence|failure|mood$"
        r"|complaint)"
    )
    assert {k for k in i18n.EN if k not in named and not computed.match(k)} == set()


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de-DE,de,en;q=0.5", "en"), ("fr", "en"), ("", "en"),
     ("en-GB,zh", "en"), ("ZH-hant", "zh")],
)  # fmt: skip
def test_the_language_is_the_browsers_first_that_we_speak(header: str, language: str) -> None:
    assert i18n.of_browser(header) == language


@pytest.mark.parametrize("sent", ["de", "", None, 7, {"a": 1}])
def test_an_unknown_language_is_english(sent: object) -> None:
    assert i18n.known(sent) == "en"


@pytest.mark.parametrize("mode", [0, 1], ids=["day", "night"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [("ink", "ground"), ("ink", "surface"), ("ink", "sunken"), ("ink", "leaf"), ("ink", "honey"),
     ("faded", "ground"), ("faded", "surface"), ("fern", "surface"), ("fern", "ground"),
     ("fern", "leaf"), ("on_fern", "fern"), ("on_fern", "fern_deep"), ("copper", "surface"),
     ("copper", "ground"), ("clay", "surface")],
)  # fmt: skip
def test_text_has_aa_contrast(ink: str, ground: str, mode: int) -> None:
    assert style.contrast(style.COLOURS[ink][mode], style.COLOURS[ground][mode]) >= 4.5


@pytest.mark.parametrize("mode", [0, 1], ids=["day", "night"])
def test_edges_of_fields_have_aa_contrast(mode: int) -> None:
    assert style.contrast(style.COLOURS["edge"][mode], style.COLOURS["surface"][mode]) >= 3


def test_contrast_of_black_on_white_is_21() -> None:
    assert style.contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_look_needs_nothing_from_elsewhere() -> None:
    looks = style.mount_kwargs()
    assert not re.search(r"https?://|@import|url\(", looks["css"] + looks["head"])
    assert looks["theme"]._stylesheets == []
