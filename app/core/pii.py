"""The forms of personal data that `app.core.redact` replaces. Imports presidio, 1-2 s: import late.

Texts are read in a folded copy of equal length (`fold`), because presidio's patterns miss what
stands beside Han characters (both are word characters to them) or is typed in full-width digits.
No finding is longer than 1,500 characters and no pattern has nested unbounded repeats, so that the
time stays linear. Recognisers are chosen by hand: presidio's others report a phone as UK_NHS.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from app.core.checksums import luhn, mod_11_2
from app.core.hide import hidden
from app.core.redact import Span

with hidden("torch", "transformers"):  # tried by presidio for engines that are not used here
    from presidio_analyzer import (
        AnalyzerEngine,
        LocalRecognizer,
        RecognizerRegistry,
        RecognizerResult,
    )
    from presidio_analyzer.nlp_engine import NoOpNlpEngine
    from presidio_analyzer.predefined_recognizers import (
        IbanRecognizer,
        IpRecognizer,
        PhoneRecognizer,
    )

_NATIONAL = "NATIONAL"
# National forms are told apart from order numbers only where a leading 0 is the rule, and written.
_PHONE_REGIONS = ("GB", "DE", "FR", "NL", "CH", "CN")
_VALID = 1  # phonenumbers.Leniency: a number that could have been given out

# In each pattern the one group is what is replaced.
_URL_LOGIN = r"(?<![A-Z0-9+.-])([A-Z][A-Z0-9+.-]{1,20}://[^\s/?#@]{1,256}@[^\s<>\"']{1,1000})"
_EMAIL = r"(?<![\w.+%'-])([\w.+%'-]{1,256}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})(?![^\W\d_])"
_CN_ID = (
    r"(?<![0-9A-Z])([1-9]\d{5}(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX])"
    r"(?![0-9A-Z])"
)
_CARDS = (
    r"(?<!\d)([2-6]\d{3}(?:[ -]?\d{4}){3}(?:[ -]?\d{3})?)(?!\d)",  # 16 or 19 digits in fours
    r"(?<!\d)([2-6]\d{16,17})(?!\d)",
    r"(?<!\d)(3[0478]\d\d[ -]?\d{6}[ -]?\d{4,5}|36\d\d[ -]?\d{6}[ -]?\d{4})(?!\d)",
    r"(?<!\d)((?:2131|1800)\d{11})(?!\d)",
    r"(?<!\d)(4\d{12})(?!\d)",  # old Visa; other 13 digits are article numbers
    r"(?<!\d)((?:50[1-3]\d|5[6-8]\d\d|6[37]\d\d)\d{8})(?!\d)",  # Maestro
)
_EXTENSION = r"(?: ?(?:X|EXT\.?) ?\d{1,6})?"
_ANNOUNCED = (
    r"(?:PHONE|TEL|MOBILE|CELL|FAX|WHATSAPP|DESK|MY NUMBER IS|"
    r"(?:CALL|REACH|TEXT|RING) (?:ME|US) (?:AT|ON))[^\d+(]{0,12}"
)
_DATE = r"(?:\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}-\d\d-\d\d)(?!\d)"
_PHONES = (
    rf"(?<![\d+])((?:\+|00)[1-9](?:[ ()./-]{{0,3}}\d){{6,14}}{_EXTENSION})(?!\d)",
    r"(?<![\d.-])((?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])\d{3}[ .-]\d{4}"
    rf"{_EXTENSION})(?!\d)",
    r"(?<!\d)(1[3-9]\d[ -]?\d{4}[ -]?\d{4})(?!\d)",  # Chinese mobile
    rf"\b{_ANNOUNCED}(?!{_DATE})(\(?\d(?:[ ()./-]{{0,3}}\d){{5,14}}{_EXTENSION})(?!\d)",
)


class Detector:
    """presidio's engine over the recognisers of this file."""

    def __init__(self) -> None:
        iban = IbanRecognizer(supported_entity="IBAN")
        phone = PhoneRecognizer(
            supported_entity=_NATIONAL, supported_regions=_PHONE_REGIONS, leniency=_VALID
        )
        recognisers = [
            Form("URL_LOGIN", _URL_LOGIN),
            Form("EMAIL", _EMAIL),
            iban,
            Form("CN_ID", _CN_ID, check=mod_11_2),
            Form("CARD", *_CARDS, check=luhn),
            IpRecognizer(supported_entity="IP"),
            Form("PHONE", *_PHONES),
            phone,
        ]
        self._engine = AnalyzerEngine(
            registry=RecognizerRegistry(recognisers),
            nlp_engine=NoOpNlpEngine([{"lang_code": "en", "model_name": "no_op"}]),
        )

    def find(self, text: str) -> list[Span]:
        """Findings in `text`; they may overlap."""
        folded = fold(text)
        found = self._engine.analyze(folded, language="en")
        spans = [Span(result.entity_type, result.start, result.end) for result in found]
        kept = [s for s in spans if _KEPT.get(s.type, bool)(folded[s.start : s.end])]
        return [
            s._replace(type="PHONE") if s.type == _NATIONAL else s
            for s in kept
            if s.type not in ("PHONE", _NATIONAL) or not _is_date(folded, s)
        ]


class Form(LocalRecognizer):
    """A recogniser of patterns, each hit checked; hits may overlap.

    presidio's own PatternRecognizer goes on behind a hit that fails its check, and so misses a card
    that follows four digits.
    """

    def __init__(
        self, entity: str, *patterns: str, check: Callable[[str], bool] = lambda _: True
    ) -> None:
        # Looked ahead for, so that the search goes on one character later.
        self._patterns = [re.compile(f"(?={pattern})") for pattern in patterns]
        self._check = check
        super().__init__(supported_entities=[entity])

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any) -> list[Any]:  # noqa: ARG002
        """One result a checked hit; a hit that lies within the one before is left out."""
        found = []
        for pattern in self._patterns:
            reached = 0
            for match in pattern.finditer(text):
                start, end = match.span(1)
                if end > reached and self._check(match.group(1)):
                    reached = end
                    found.append(RecognizerResult(self.supported_entities[0], start, end, 1.0))
        return found


def _is_address(found: str) -> bool:
    """Not "::" in code, "::1" of every machine, nor the "90::" in a price list."""
    return "." in found or found.count(":") > 2 or found.lower().startswith("fe80")


def _is_number(found: str) -> bool:
    """Not the year or years that a short German number (1687, 1609-1626) can also be."""
    return not _YEARS.fullmatch(found)


def _is_national(found: str) -> bool:
    """Written with its leading 0 or country code: without, order numbers have the same form."""
    return found.lstrip(" (")[:1] in ("0", "+") and _is_number(found)


def _is_date(text: str, span: Span) -> bool:
    """Whether all digits of the finding are those of a date or of two."""
    around = _DATES.finditer(text, max(0, span.start - 12), min(len(text), span.end + 12))
    return any(date.start() <= span.start and span.end <= date.end() for date in around)


_DATES = re.compile(rf"(?<!\d){_DATE}(?:[ ]?-[ ]?{_DATE})?")
_YEARS = re.compile(r"\W*1[5-9]\d\d(?:\W{1,3}1[5-9]\d\d)?\W*")
_KEPT: dict[str, Callable[[str], bool]] = {
    "IP": _is_address,
    "PHONE": _is_number,
    _NATIONAL: _is_national,
}
"""What findings of a type must also be."""


def fold(text: str) -> str:
    """`text` in ASCII as far as single characters allow it, of the same length.

    Full-width and other digits become 0-9, letters upper case, dashes "-", spaces " "; Han, kana
    and CJK punctuation become line ends.
    """
    return text.translate(_FOLDING)


class _Folding(dict[int, str]):
    def __missing__(self, code: int) -> str:
        self[code] = folded = _folded(chr(code))
        return folded


def _folded(char: str) -> str:
    if unicodedata.decimal(char, None) is not None:
        return str(unicodedata.decimal(char))
    category = unicodedata.category(char)
    if category == "Zs" and char != "\u3000":
        return " "
    if category == "Pd" or char == "\u2212":
        return "-"
    compatible = unicodedata.normalize("NFKC", char)
    plain = compatible if len(compatible) == 1 else char
    if "\u2e80" <= plain <= "\ua4cf" or category == "Cs":
        return "\n"
    upper = plain.upper()
    return upper if len(upper) == 1 else plain


_FOLDING = _Folding()
