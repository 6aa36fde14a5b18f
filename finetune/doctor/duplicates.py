"""Rows that say the same: exact and near duplicates, and the same text with other labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from app.core.fingerprints import tokens
from finetune.doctor.finding import Finding, Place, finding, out_of, short
from finetune.doctor.rows import Case, Sample, prepare

TRAINING = "training rows"
SIMILAR = 0.8
"""Jaccard similarity of words and pairs of words from which two texts are near duplicates: about
one word in fifteen changed."""
SHORTEST, LONGEST = 5, 200
"""Words: shorter texts are not compared, of longer ones the beginning is."""
BANDS, ROWS = 16, 4
"""Of MinHash: a pair at SIMILAR is missed once in 5,000."""


def exact(case: Case) -> Iterator[Finding]:
    """Training rows that repeat an earlier one, answer included."""
    train = case.part("train")
    seen: set[tuple[tuple[str, str], str]] = set()
    again: list[Place] = []
    for one in train:
        if (one.key, one.target) in seen:
            again.append(Place(one.where, one.text))
        seen.add((one.key, one.target))
    if again:
        yield finding(
            "duplicates", "warning", again, len(train),
            f"repeat an earlier row word for word: {out_of(len(again), len(train), TRAINING)}",
            "Remove them: each copy counts once more in the loss.",
        )  # fmt: skip


def conflicts(case: Case) -> Iterator[Finding]:
    """Training rows that ask the same and are to be answered differently.

    Scores differ where they lie further apart than the standard deviation of all.
    """
    train = case.part("train")
    apart = float(np.std([row.score for row in train if row.score is not None] or [0.0]))
    groups: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
    for one in train:
        groups[one.key].append(one)
    torn = [one for rows in groups.values() if _differ(rows, apart) for one in rows]
    if torn:
        places = [Place(one.where, f"{one.text} -> {one.target or 'none'}") for one in torn]
        yield finding(
            "conflicts", "warning", places, len(train),
            f"say what another row says, with another label or answer: "
            f"{out_of(len(torn), len(train), TRAINING)}",
            "Decide for one of them, or remove them all: what is learnt there is a toss of a coin.",
        )  # fmt: skip


def _differ(rows: Sequence[Sample], apart: float) -> bool:
    scores = [row.score for row in rows if row.score is not None]
    if scores:
        return max(scores) - min(scores) > apart
    return len({row.target for row in rows}) > 1


def near(case: Case) -> Iterator[Finding]:
    """Training rows that nearly repeat another one."""
    train = case.part("train")
    found = {two.where: (one, two) for one, two in _twins(case) if one.part == two.part == "train"}
    if found:
        yield finding(
            "near_duplicates", "warning", _both(found.values()), len(train),
            f"nearly repeat another row: {out_of(len(found), len(train), TRAINING)}",
            "Keep one of each, unless the small difference is the point.",
        )  # fmt: skip


def near_leakage(case: Case) -> Iterator[Finding]:
    """Dev and test rows that nearly repeat a training row."""
    held = case.part("dev", "test")
    found = {two.where: (one, two) for one, two in _twins(case) if one.part == "train" != two.part}
    if found:
        yield finding(
            "near_leakage", "warning", _both(found.values()), len(held),
            f"nearly repeat a training row: {out_of(len(found), len(held), 'dev and test rows')}",
            "Remove these from training: what is measured on them is partly memory.",
        )  # fmt: skip


@lru_cache(maxsize=1)
def _twins(case: Case) -> list[tuple[Sample, Sample]]:
    """Pairs of like rows with the same context, training rows first; exact repeats apart.

    MinHash (Broder 1997) finds the candidates, the exact Jaccard similarity decides.
    """
    first: dict[tuple[str, str], Sample] = {}
    for one in case.samples:
        first.setdefault(one.key, one)
    rows = list(first.values())
    pairs = similar([tokens(prepare(row.text)) for row in rows])
    return [(rows[i], rows[j]) for i, j in pairs if rows[i].context == rows[j].context]


def _both(twins: Iterable[tuple[Sample, Sample]]) -> list[Place]:
    return [Place(two.where, f"{two.text} (as {short(one.where)})") for one, two in twins]


def similar(texts: Sequence[list[str]]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of texts (as words) whose similarity is SIMILAR or more, in order.

    Of a crowd of like texts not every pair is given, but each text in at least one.
    """
    long = [n for n, words in enumerate(texts) if len(words) >= SHORTEST]
    sets = {n: _shingles(texts[n][:LONGEST]) for n in long}
    if not sets:
        return []
    found = set()
    for pair in _candidates(_signatures([sets[n] for n in long])):
        one, two = sets[long[pair[0]]], sets[long[pair[1]]]
        both = len(one & two)
        if both >= SIMILAR * (len(one) + len(two) - both):
            found.add((long[pair[0]], long[pair[1]]))
    return sorted(found)


def _shingles(words: Sequence[str]) -> set[int]:
    """Hashes of words and of pairs of words."""
    return {crc32(text.encode()) for text in (*words, *map(" ".join, pairwise(words)))}


def _signatures(sets: Sequence[set[int]]) -> NDArray[np.uint64]:
    """(n, BANDS * ROWS): of each set the least value under as many hash functions."""
    rng = np.random.default_rng(0)
    flat = np.array([value for one in sets for value in one], dtype=np.uint64)
    starts = np.cumsum([0, *(len(one) for one in sets[:-1])])
    mix = rng.integers(1, 2**63, (BANDS * ROWS, 2), dtype=np.uint64)
    least = [np.minimum.reduceat((flat * (a | np.uint64(1)) + b) >> np.uint64(32), starts)
             for a, b in mix]  # fmt: skip
    return np.stack(least, axis=1)


def _candidates(signatures: NDArray[np.uint64]) -> set[tuple[int, int]]:
    """Pairs of rows that agree in all of a band."""
    found: set[tuple[int, int]] = set()
    for band in range(BANDS):
        columns: NDArray[Any] = np.ascontiguousarray(
            signatures[:, band * ROWS : (band + 1) * ROWS]
        ).view(f"V{8 * ROWS}")[:, 0]
        _, bucket = np.unique(columns, return_inverse=True)
        order = np.argsort(bucket, kind="stable")
        first = order[0]
        for before, here in pairwise(order.tolist()):
            if bucket[before] != bucket[here]:
                first = here
            else:
                found |= {(before, here), (int(first), here)} - {(here, here)}
    return found
