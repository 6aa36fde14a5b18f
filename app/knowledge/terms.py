"""Words of a text as BM25 counts them: English stemmed lightly, Chinese as characters and bigrams.

Traditional characters count as simplified ones, in articles and questions alike.

The stemmer is Harman's S-stemmer (1991) with -ing and -ed added: it joins "refunds" with "refund"
and "opened" with "open", and does not know that "sent" is "send".
"""

from __future__ import annotations

import re

from app.core.language import simplified

_HAN_RANGE = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(rf"[{_HAN_RANGE}]+|\d+(?:[.,]\d+)*|[^\W\d_{_HAN_RANGE}]+")
_HAN = re.compile(rf"[{_HAN_RANGE}]")
_ENDINGS = (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ing", ""), ("ed", ""), ("s", ""))

STOP_WORDS = frozenset(
    """a about after again ago all also always am an and any anything are as at be because been
    before being but by can could did do does don done each either else even ever every for from
    get gets getting go goes going got had has have he her here hers him his how i if in into is
    it its just know let like ll m make many may me might mine more most much must my need never
    no nor not now of off on once one only or other our ours out over own please put re really s
    same say she should since so some something still such t take than that the their them then
    there these they thing things this those though through to too until up us ve very want was
    way we well were what when where which while who whom whose why will with without would yes
    yet you your yours""".split()  # noqa: SIM905 (a list a reader can scroll)
)
_EMPTY_HAN = frozenset(
    "的了吗呢啊吧呀我你您他她它们是有在就也都还这那哪什么怎多少几个能可以要想会给说去来"
    "和跟与或把被让对不没很太再又才已经过着一二三上下里外得地"
)
"""Characters that ask, address or join; pairs that hold one are left out with them."""


def terms(text: str) -> list[str]:
    """Content words in order, repeated as in the text.

    "Opened my bags of Earl Grey" -> ["open", "bag", "earl", "grey"];
    "运费多少" -> ["运费", "运", "费"]. Numbers keep their decimals ("4.90").
    """
    found: list[str] = []
    for run in _RUN.findall(text.lower()):
        if _HAN.match(run):
            found += han_terms(simplified(run))
        elif run not in STOP_WORDS and (len(run) > 1 or run.isdigit()):
            found.append(stem(run))
    return found


def han_terms(run: str) -> list[str]:
    """Overlapping pairs of a run of Han characters, then the characters, empty ones left out.

    Pairs stand in for words, which need a dictionary to be found; single characters meet synonyms
    that share one (邮费, 运费).
    """
    pairs = [run[i : i + 2] for i in range(len(run) - 1)]
    return [gram for gram in [*pairs, *run] if _EMPTY_HAN.isdisjoint(gram)]


def stem(word: str) -> str:
    """The word without a regular English ending; at least three letters stay."""
    for ending, instead in _ENDINGS:
        stemmed = word[: -len(ending)] + instead
        if word.endswith(ending) and len(stemmed) >= 3:
            return word if ending == "s" and word[-2] in "su" else stemmed  # glass, focus
    return word
