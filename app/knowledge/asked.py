"""Which article, and which of its sentences, a question asks for: learnt from ways to ask.

Two linear support vector machines (one against the rest, Fan et al. 2008), over what a question's
letters and its meaning are: runs of letters by TF-IDF, which survive slips and need no words of a
language, beside the encoder's vector. One has a class an article, the other a class a statement
(the sentences that an author named); each has one more for what no article answers: near misses,
and what people ask at any desk (elsewhere.jsonl).

Fitted on what the articles carry and nothing else, in a minute for 10,000 ways to ask, and kept in
the cache by its content. On the demo's train and dev questions, which it never saw, the right
article is first for 0.90 (English) and 0.89 (Chinese), where the search alone has 0.60 and 0.40;
nearest neighbours by the same likeness had 0.77 and 0.79, complement naive Bayes 0.70 and 0.82.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, hstack

from app.core.errors import InputError
from app.core.files import ROOT, atomic_path, cache_dir
from app.core.language import normalise
from app.core.records import read_rows
from app.knowledge.split import Section
from app.knowledge.vectors import encode_cached, key
from app.models.encoder import Array, HashEncoder, TextEncoder

VERSION = 1
"""Of how it is fitted: another one leaves what the cache holds."""
SHIPPED = ROOT / "weights" / "asked"
"""Where a staged Space has what was learnt, so that it need not learn at its start."""
ELSEWHERE = Path(__file__).with_name("elsewhere.jsonl")
RUNS = {"zh": (1, 2)}
OTHER_RUNS = (2, 4)
"""Letters in a row: a Chinese character says as much as three of Latin."""
MEANING = 0.8
"""Length of the encoder's vector beside the letters' of 1."""
C = 1.0
"""Of the machines (LinearSVC's); 0.3 and 3 were as good on train and dev questions."""
MIDDLE, SLOPE = -1.0, 2.0
"""The sum of both machines' decisions at which the chance is taken as even, and its steepness."""
LEAST = 20
"""Ways to ask that an article has to carry, so that they count: from a few, nothing is learnt."""
STATEMENTS = 2_000
"""With more of them, articles alone are told apart: memory grows with classes."""
QUICK = 3_000
"""So many are learnt while a turn waits. Of more, what was learnt serves on, and an article whose
ways changed is found by the search alone, until the next start learns all of them."""
LONG = 3_000
"""More than these are not learnt for the encoder without weights, which is for smoke and tests."""
_ONE_AT_A_TIME = threading.Lock()
_RARE, _FEW = 2, 200
"""A run of letters counts from so many ways on, where there are more than a few."""


class Heard(NamedTuple):
    """What the ways to ask say of one question, for n sections."""

    rows: Array
    """(n,) 0..1, higher is better; NaN for sections of articles that carry none."""
    total: Array
    """(n,) both machines' decisions together, about -3..2; NaN as in `rows`."""
    sentences: Mapping[tuple[int, int], float]
    """0..1 by (row, sentence), of those that a way to ask was written for."""
    elsewhere: float
    """Decision for "no article answers this"; above 0 it is likelier than not."""


class Ways(NamedTuple):
    """What is learnt from: texts, and what each asks for."""

    texts: list[str]
    articles: list[int]
    """Class of each; the last class is "no article"."""
    statements: list[int]
    article_rows: list[list[int]]
    """Rows of the sections of each article's class."""
    statement_places: list[list[tuple[int, int]]]
    """(row, sentence) of each statement's class; sentence -1 where none was named."""


class _Machines(NamedTuple):
    """Fitted; half precision, so that one read from the cache is the one that was fitted."""

    runs: list[str]
    idf: Array
    articles: Array
    """(features + 1, classes): weights, and the bias last."""
    statements: Array


class AskedIndex:
    """Of n sections, in their order; made by `asked_index`."""

    def __init__(self, ways: Ways, count: int, machines: _Machines, language: str) -> None:
        self.ways, self._count, self.language = ways, count, language
        self._machines = machines
        self._letters = _letters(language, machines)
        self._weights = [w.astype(np.float32) for w in (machines.articles, machines.statements)]
        self._meaning = len(machines.articles) - 1 > len(machines.runs)

    def __call__(self, question: str, vector: Array) -> Heard:
        """vector: the question's."""
        letters = self._letters.transform([_plain(question)]).astype(np.float32)
        x = _features(letters, vector[None] if self._meaning else None)
        by_article, by_statement = ((x @ w[:-1] + w[-1])[0] for w in self._weights)
        of_article = np.full(self._count, np.nan, dtype=np.float32)
        for rows, decision in zip(self.ways.article_rows, by_article[:-1], strict=True):
            of_article[rows] = decision
        best = np.full(self._count, by_statement[:-1].min(initial=0.0), dtype=np.float32)
        heard = dict[tuple[int, int], float]()
        for places, decision in zip(self.ways.statement_places, by_statement[:-1], strict=True):
            for row, sentence in places:
                best[row] = max(best[row], decision)
                if sentence >= 0:
                    chance = float(_chance(of_article[row] + decision))
                    heard[row, sentence] = max(chance, heard.get((row, sentence), 0.0))
        total = of_article + best
        return Heard(_chance(total), total, heard, float(by_article[-1]))

    def over(self, found: Ways, count: int) -> AskedIndex:
        """What was learnt, over other sections: articles whose ways to ask are others than they
        were carry none, so that what was taken out is heard no more."""
        after = _by_article(found)
        article_rows, moved = list[list[int]](), dict[int, int]()
        for own, rows in zip(_by_article(self.ways), self.ways.article_rows, strict=True):
            at = found.article_rows[after.index(own)] if own in after else []
            article_rows.append(at)
            moved |= dict(zip(rows, at, strict=False))
        statement_places = [
            [(moved[row], sentence) for row, sentence in places if row in moved]
            for places in self.ways.statement_places
        ]
        kept = self.ways._replace(article_rows=article_rows, statement_places=statement_places)
        return AskedIndex(kept, count, self._machines, self.language)


def asked_index(
    sections: Sequence[Section],
    encoder: TextEncoder | None,
    language: str,
    before: AskedIndex | None = None,
) -> AskedIndex | None:
    """None where no article carries enough ways to ask. Fits, or reads what was fitted before.

    encoder: None goes by letters alone, for a language that the encoder does not speak.
    before: what is left of this serves, rather than waiting for a long fit.
    """
    found = ways(sections, language)
    if found is None or (isinstance(encoder, HashEncoder) and len(found.texts) > LONG):
        return None  # `--model scripted` starts at once
    path = place(found, encoder, language)
    machines = _read(path) or _read(SHIPPED / path.name)
    if machines is None and before is not None and len(found.texts) > QUICK:
        return before.over(found, len(sections))
    if machines is None:
        machines = fit(found, encoder, language)
        _keep(path, machines)
    return AskedIndex(found, len(sections), machines, language)


def place(found: Ways, encoder: TextEncoder | None, language: str) -> Path:
    """Where the cache keeps what is learnt from `found`."""
    said = [VERSION, key(encoder) if encoder else None, language, MEANING, C, found]
    name = hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()[:32]
    return cache_dir() / "asked" / f"{name}.npz"


def _by_article(found: Ways) -> list[list[str]]:
    """The ways to ask of each class of articles."""
    own: list[list[str]] = [[] for _ in found.article_rows]
    for text, article in zip(found.texts, found.articles, strict=True):
        if article < len(own):
            own[article].append(text)
    return own


def ways(sections: Sequence[Section], language: str) -> Ways | None:
    """What the sections carry, with what is asked at any desk; None where they carry nothing, or
    no article has LEAST."""
    places: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row, section in enumerate(sections):
        for way in section.asked:
            places.setdefault((section.passage.article, way.text), []).append((row, way.sentence))
    counts = Counter(article for article, _ in places)
    places = {way: at for way, at in places.items() if counts[way[0]] >= LEAST}
    if not places:
        return None
    articles: dict[str, list[int]] = {article: [] for article, _ in places}
    for row, section in enumerate(sections):
        if section.passage.article in articles:
            articles[section.passage.article].append(row)
    numbers = {article: number for number, article in enumerate(articles)}
    kinds = list(dict.fromkeys((a, tuple(at)) for (a, _), at in places.items()))
    if len(kinds) > STATEMENTS:
        kinds = []
    known = {kind: number for number, kind in enumerate(kinds)}
    none = [text for section in sections for text in section.missed] + elsewhere(language)
    asked = {_plain(text) for _, text in places}
    none = [text for text in dict.fromkeys(none) if _plain(text) not in asked]
    return Ways(
        [text for _, text in places] + none,
        [numbers[a] for a, _ in places] + [len(numbers)] * len(none),
        [known.get((a, tuple(at)), 0) for (a, _), at in places.items()] + [len(kinds)] * len(none),
        list(articles.values()),
        [list(at) for _, at in kinds],
    )


@lru_cache(maxsize=4)
def elsewhere(language: str) -> list[str]:
    """What people ask at any desk and a shop's articles leave open."""
    return [str(row["text"]) for row in read_rows(ELSEWHERE) if row["lang"] == language]


def fit(found: Ways, encoder: TextEncoder | None, language: str) -> _Machines:
    """Both machines."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [_plain(text) for text in found.texts]
    rare = _RARE if len(texts) > _FEW else 1
    letters = TfidfVectorizer(
        analyzer="char", ngram_range=_runs(language), sublinear_tf=True, min_df=rare
    )
    vectors = encode_cached(encoder, texts) if encoder else None
    x = _features(letters.fit_transform(texts), vectors)
    articles = _one_against_rest(x, np.array(found.articles), len(found.article_rows) + 1)
    statements = _one_against_rest(x, np.array(found.statements), len(found.statement_places) + 1)
    runs = [str(run) for run in letters.get_feature_names_out()]
    return _Machines(runs, letters.idf_.astype(np.float32), articles, statements)


def _one_against_rest(x: csr_matrix, labels: Any, count: int) -> Array:
    """(features + 1, count) weights with the bias last, in half precision."""
    from sklearn.svm import LinearSVC

    if count < 2:
        return np.zeros((x.shape[1] + 1, count), dtype=np.float16)
    # In one thread: what draws the order of the rows is one for the whole process.
    with _ONE_AT_A_TIME:
        machine = LinearSVC(C=C, tol=0.1, max_iter=100, random_state=0).fit(x, labels)
    weights, bias = machine.coef_, machine.intercept_
    if count == 2:  # one line for both
        weights, bias = np.vstack([-weights, weights]), np.concatenate([-bias, bias])
    return np.concatenate([weights.T, bias[None]]).astype(np.float16)


def _features(letters: csr_matrix, vectors: Array | None) -> csr_matrix:
    if vectors is None:
        return letters
    return hstack([letters, csr_matrix(vectors * np.float32(MEANING))], format="csr")


def _letters(language: str, machines: _Machines) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(
        analyzer="char", ngram_range=_runs(language), sublinear_tf=True, vocabulary=machines.runs
    )
    made.idf_ = machines.idf
    return made


def _runs(language: str) -> tuple[int, int]:
    return RUNS.get(language, OTHER_RUNS)


def _plain(text: str) -> str:
    return normalise(text).lower().replace("\0", " ")


def _chance(decision: Any) -> Any:
    return 1 / (1 + np.exp(-SLOPE * (decision - MIDDLE)))


def _read(path: Path) -> _Machines | None:
    """None where there is none, or not a whole one."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            runs = kept["runs"].tobytes().decode().split("\0")
            return _Machines(runs, kept["idf"], kept["articles"], kept["statements"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _keep(path: Path, machines: _Machines) -> None:
    runs = np.frombuffer("\0".join(machines.runs).encode(), dtype=np.uint8)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **machines._asdict() | {"runs": runs})
    except (InputError, OSError):
        return  # a start from a read-only disk fits each time, and works
