"""Every field index keeps the contract; BM25 counts as BM25 does."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from app.knowledge.index import Bm25Index, DenseIndex, FieldIndex
from app.knowledge.terms import STOP_WORDS, stem, terms
from app.knowledge.vectors import encode_cached
from app.models.encoder import Array, HashEncoder

TEXTS = [
    "Standard delivery within the EU costs €4.90.",
    "Opened coffee cannot be returned.",
    "Descale the Heron kettle every six weeks.",
    "寄往英国的运费是 7.50 欧元。",
]


class FieldIndexContract:
    """What every FieldIndex does; a subclass says how to make one."""

    def make(self, texts: list[str]) -> FieldIndex:
        raise NotImplementedError

    def test_there_is_one_score_a_text(self) -> None:
        scores = self.make(TEXTS).scores("kettle")
        assert scores.shape == (4,)
        assert scores.dtype == np.float32

    def test_a_text_is_the_best_for_its_own_words(self) -> None:
        index = self.make(TEXTS)
        for row, text in enumerate(TEXTS):
            assert int(index.scores(text).argmax()) == row

    def test_the_same_question_has_the_same_scores(self) -> None:
        index = self.make(TEXTS)
        assert np.array_equal(index.scores("opened coffee"), index.scores("opened coffee"))

    def test_what_shares_nothing_scores_less_than_what_matches(self) -> None:
        scores = self.make(TEXTS).scores("heron kettle descale")
        assert scores[2] > 2 * max(scores[0], scores[1], scores[3])

    def test_a_question_without_words_scores_zero(self) -> None:
        for question in ("", "?!", "😀"):
            assert not self.make(TEXTS).scores(question).any()

    def test_one_text_is_enough(self) -> None:
        assert self.make(["tea"]).scores("tea")[0] > 0


class TestBm25(FieldIndexContract):
    def make(self, texts: list[str]) -> FieldIndex:
        return Bm25Index(texts)

    def test_scores_are_those_of_the_formula_as_a_share(self) -> None:
        """Two texts of two words: tf 1, length 2 = average, k1 1.5 -> 1 / (1 + 1.5) = 0.4."""
        found = Bm25Index(["green tea", "black coffee"]).scores("green")
        assert found == pytest.approx([0.4, 0.0])

    def test_an_unknown_word_lowers_the_share_of_the_known_one(self) -> None:
        """idf of a word in 1 of 2 texts is ln 2, that of an unknown one ln 6."""
        found = Bm25Index(["green tea", "black coffee"]).scores("green zebra")
        assert found[0] == pytest.approx(0.4 * math.log(2) / (math.log(2) + math.log(6)))

    def test_texts_of_stop_words_alone_match_nothing(self) -> None:
        assert not Bm25Index(["it is", "and so"]).scores("it is").any()


class TestDense(FieldIndexContract):
    def make(self, texts: list[str]) -> FieldIndex:
        return DenseIndex(texts, HashEncoder())


def test_words_meet_their_plurals_and_past_forms() -> None:
    assert terms("Opened refunds, copies, boxes") == ["open", "refund", "copy", "box"]
    for word in ("glass", "was", "focus", "tea", "bed"):
        assert stem(word) == word


def test_words_that_only_ask_are_left_out() -> None:
    assert terms("How much would it be, please?") == []
    assert {"how", "much", "would", "please"} <= STOP_WORDS


def test_numbers_keep_their_decimals() -> None:
    assert terms("€4.90 or 12 %") == ["4.90", "12"]


def test_chinese_is_counted_by_pairs_and_characters_without_the_empty_ones() -> None:
    assert terms("运费多少") == ["运费", "运", "费"]
    assert terms("Visa卡") == ["visa", "卡"]


class Counting(HashEncoder):
    """Counts the texts that it encodes, the probe aside."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__(dim)
        self.encoded = 0

    def encode(self, texts: object) -> Array:
        self.encoded += len(texts) if len(texts) > 1 else 0  # type: ignore[arg-type]
        return super().encode(texts)  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path))
    return tmp_path / "vectors"


def test_a_passage_is_embedded_once_for_all_starts(cache: Path) -> None:
    first = encode_cached(Counting(), TEXTS)
    again = Counting()
    assert np.array_equal(encode_cached(again, TEXTS), first)
    assert again.encoded == 0
    assert len(list(cache.iterdir())) == 1


def test_what_changed_is_embedded_and_nothing_else(cache: Path) -> None:
    whole = encode_cached(Counting(), TEXTS)
    again = Counting()
    found = encode_cached(again, ["new", *reversed(TEXTS), "newer"])
    assert again.encoded == 2
    assert np.array_equal(found[1:5], whole[::-1])
    assert len(list(cache.iterdir())) == 1


def test_another_encoder_shares_no_vectors(cache: Path) -> None:
    encode_cached(Counting(), TEXTS)
    assert encode_cached(Counting(64), TEXTS).shape == (4, 64)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.usefixtures("cache")
def test_many_texts_and_none_are_read_from_the_cache() -> None:
    many = [f"text {n}" for n in range(1201)]
    first = encode_cached(Counting(), many)
    again = Counting()
    assert np.array_equal(encode_cached(again, many), first)
    assert again.encoded == 0
    assert encode_cached(again, []).shape == (0, 256)


@pytest.mark.usefixtures("cache")
def test_equal_texts_share_a_vector() -> None:
    counting = Counting()
    assert encode_cached(counting, ["a b", "c d", "a b"]).shape == (3, 256)
    assert counting.encoded == 2


def test_a_torn_cache_file_is_made_again(cache: Path) -> None:
    whole = encode_cached(Counting(), TEXTS)
    (file,) = cache.iterdir()
    torn = file.read_bytes()
    for data in (torn[:100], torn[:5000], b"no database" * 100, b""):
        file.write_bytes(data)
        assert np.array_equal(encode_cached(Counting(), TEXTS), whole)
    again = Counting()
    encode_cached(again, TEXTS)
    assert again.encoded == 0


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "file"))
    assert encode_cached(Counting(), TEXTS).shape == (4, 256)
