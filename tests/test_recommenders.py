"""Every recommender keeps one contract, and each computes what its paper says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from app.core import data
from app.core.errors import InputError, TooLarge
from app.models.encoder import HashEncoder
from app.recommend import ease as ease_module
from app.recommend import tuning
from app.recommend.base import Recommender
from app.recommend.content import Content, Remembering
from app.recommend.ease import Ease
from app.recommend.hybrid import Hybrid
from app.recommend.itemknn import ItemKNN
from app.recommend.popular import Popular
from app.recommend.split import leave_last_out
from app.recommend.systems import NAMES, build

TOPICS = {"tea": "leaf pot steep", "coffee": "bean roast grind", "honey": "bee jar sweet"}
ITEMS = [
    {"item": f"{topic}-{n}", "title": f"{topic} {n}", "text": words, "category": topic}
    for topic, words in TOPICS.items()
    for n in range(4)
]
COLD = "tea-3"
"""In the catalogue, taken by nobody."""
EXTRA = "mug-0"
"""Taken, and no longer in the catalogue."""


def taken(user: str, *items: str, start: int = 0) -> list[dict[str, Any]]:
    return [{"user": user, "item": item, "timestamp": start + n} for n, item in enumerate(items)]


def shop_of_topics(users: int = 60, seed: int = 5) -> list[dict[str, Any]]:
    """Each user takes two or three items of one topic, then perhaps honey-0 or the mug."""
    draw = random.Random(seed)
    rows = []
    for n in range(users):
        topic = ("tea", "coffee", "honey")[n % 3]
        own = [f"{topic}-{i}" for i in draw.sample(range(3), draw.choice((2, 3)))]
        rows += taken(f"u{n:02d}", *own, *draw.sample(["honey-0", EXTRA], draw.choice((0, 1))))
    return rows


ROWS = shop_of_topics()


def ranking(model: Recommender, liked: Sequence[str]) -> list[str]:
    return [scored.item for scored in model.recommend_for(liked, 99)]


class RecommenderContract:
    """What every system keeps, whatever it computes. A subclass names the system."""

    system: str
    gives_reasons = True

    @pytest.fixture
    def model(self) -> Recommender:
        return self.fitted(ROWS)

    def fitted(self, rows: Sequence[dict[str, Any]]) -> Recommender:
        model = build(self.system, HashEncoder())
        model.fit(rows, ITEMS)
        return model

    def test_its_name_is_the_one_it_is_asked_for_by(self, model: Recommender) -> None:
        assert model.name == self.system

    def test_everything_is_ranked_but_what_the_user_has(self, model: Recommender) -> None:
        everything = {item["item"] for item in ITEMS} | {EXTRA}
        for user in ("u00", "u01", "u02"):
            own = {row["item"] for row in ROWS if row["user"] == user}
            ranked = [scored.item for scored in model.recommend(user, 99)]
            assert sorted(ranked) == sorted(everything - own)

    def test_k_is_the_most_it_gives_and_the_best_come_first(self, model: Recommender) -> None:
        whole = model.recommend("u00", 99)
        assert all(a.score >= b.score for a, b in pairwise(whole))
        for k in (0, 1, 5):
            assert model.recommend("u00", k) == whole[:k]

    def test_a_user_and_the_list_of_what_the_user_has_rank_alike(self, model: Recommender) -> None:
        own = [row["item"] for row in ROWS if row["user"] == "u04"]
        assert model.recommend("u04", 99) == model.recommend_for(own, 99)
        assert model.recommend_for([*own, own[0], "no-such-item"], 99) == model.recommend("u04", 99)

    def test_a_stranger_gets_what_most_people_took(self, model: Recommender) -> None:
        popular = Popular()
        popular.fit(ROWS, ITEMS)
        expected = popular.recommend(None, 5)
        assert model.recommend("nobody", 5) == expected
        assert model.recommend(None, 5) == expected
        assert model.recommend_for([], 5) == model.recommend_for(["no-such-item"], 5) == expected

    def test_neither_the_order_of_rows_nor_repeats_change_a_rank(self, model: Recommender) -> None:
        again = [{**row, "timestamp": row["timestamp"] + 50} for row in ROWS]
        shuffled = [*ROWS, *again]
        random.Random(1).shuffle(shuffled)
        other = self.fitted(shuffled)
        for user in ("u00", "u13", "u38"):
            ours = [scored.item for scored in model.recommend(user, 99)]
            assert [scored.item for scored in other.recommend(user, 99)] == ours

    def test_taking_the_named_item_away_lowers_the_score(self, model: Recommender) -> None:
        reasons = 0
        for user in sorted({row["user"] for row in ROWS}):
            own = [row["item"] for row in ROWS if row["user"] == user]
            for item, score in model.recommend(user, 3):
                cause = model.because(user, item)
                if cause is None:
                    continue
                reasons += 1
                rest = [i for i in own if i != cause]
                without = dict(model.recommend_for([*rest], 99)) if rest else {}
                assert cause in own
                assert without.get(item, -np.inf) < score
        assert (reasons > 0) is self.gives_reasons

    def test_the_named_item_contributes_most(self, model: Recommender) -> None:
        liked = ["tea-0", "tea-1", "coffee-0"]
        for item, score in model.recommend_for(liked, 5):
            cause = model.because_for(liked, item)
            if cause is None:
                continue
            lowered = {
                out: score - dict(model.recommend_for([i for i in liked if i != out], 99))[item]
                for out in liked
            }
            assert lowered[cause] == pytest.approx(max(lowered.values()), abs=1e-6)

    def test_there_is_no_reason_for_strangers_and_unknown_items(self, model: Recommender) -> None:
        assert model.because("nobody", "tea-0") is None
        assert model.because("u00", "no-such-item") is None
        assert model.because_for([], "tea-0") is None

    def test_without_interactions_the_catalogue_is_ranked_by_id(self) -> None:
        ranked = [scored.item for scored in self.fitted([]).recommend("u00", 99)]
        assert ranked == sorted(item["item"] for item in ITEMS)

    def test_without_anything_there_is_nothing_to_recommend(self) -> None:
        model = build(self.system, HashEncoder())
        model.fit([], [])
        assert model.recommend("u00", 5) == model.recommend_for(["tea-0"], 5) == []


class TestPopular(RecommenderContract):
    system = "popular"
    gives_reasons = False

    def test_people_are_counted_and_not_purchases(self) -> None:
        rows = [*taken("a", "x", "x", "x"), *taken("b", "y"), *taken("c", "y")]
        model = Popular()
        model.fit(rows, [])
        assert model.recommend(None, 2) == [("y", 2.0), ("x", 1.0)]

    def test_ties_go_to_the_smaller_id(self) -> None:
        model = Popular()
        model.fit([*taken("a", "z", "b"), *taken("b", "c")], [{"item": "a"}])
        assert [scored.item for scored in model.recommend(None, 9)] == ["b", "c", "z", "a"]


class TestItemKNN(RecommenderContract):
    system = "itemknn"

    def test_similarity_is_the_shrunk_cosine(self) -> None:
        # x and y meet once; x has two users, y one: 1 / (sqrt(2 * 1) + 10).
        model = ItemKNN(k=5, shrinkage=10.0)
        model.fit([*taken("a", "x", "y"), *taken("b", "x", "z")], [])
        assert dict(model.recommend_for(["y"], 9))["x"] == pytest.approx(1 / (2**0.5 + 10))

    @pytest.mark.parametrize("k", [1, 2, 100])
    def test_it_equals_the_definition_item_by_item(self, k: int) -> None:
        model = ItemKNN(k=k, shrinkage=2.0)
        model.fit(ROWS, ITEMS)
        people = {i: {r["user"] for r in ROWS if r["item"] == i} for i in model.matrix.items}

        def alike(a: str, b: str) -> float:
            if a == b:
                return 0.0
            both = len(people[a] & people[b])
            return both / ((len(people[a]) * len(people[b])) ** 0.5 + 2.0)

        got = dict(model.recommend_for(["tea-0", "coffee-1"], 99))
        for item, score in got.items():
            near = sorted(model.matrix.items, key=lambda other, i=item: (-alike(i, other), other))
            kept = set(near[:k])
            expected = sum(alike(item, j) for j in ("tea-0", "coffee-1") if j in kept)
            assert score == pytest.approx(expected), item

    def test_blocks_of_items_do_not_show(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole, blocks = ItemKNN(), ItemKNN()
        whole.fit(ROWS, ITEMS)
        monkeypatch.setattr("app.recommend.itemknn._ROWS", 3)
        blocks.fit(ROWS, ITEMS)
        assert blocks.recommend("u00", 99) == whole.recommend("u00", 99)


class TestEase(RecommenderContract):
    system = "ease"

    def test_weights_are_the_closed_form(self) -> None:
        model = Ease(l2=7.0)
        model.fit(ROWS, ITEMS)
        x = model.matrix.x.toarray()
        inverse = np.linalg.inv(x.T @ x + 7.0 * np.eye(x.shape[1]))
        expected = np.eye(x.shape[1]) - inverse / np.diag(inverse)
        np.testing.assert_allclose(model.weights, expected, atol=1e-9)
        assert not model.weights.diagonal().any()

    def test_no_other_weights_with_a_zero_diagonal_fit_better(self) -> None:
        model = Ease(l2=7.0)
        model.fit(ROWS, ITEMS)
        x = model.matrix.x.toarray()

        def loss(weights: np.ndarray) -> float:
            return float(((x - x @ weights) ** 2).sum() + 7.0 * (weights**2).sum())

        draw = np.random.default_rng(0)
        for _ in range(20):
            step = draw.normal(scale=1e-3, size=model.weights.shape)
            np.fill_diagonal(step, 0.0)
            assert loss(model.weights + step) > loss(model.weights)

    def test_a_catalogue_too_large_for_memory_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ease_module, "MAX_ITEMS", 10)
        with pytest.raises(TooLarge, match=r"found 13 items, expected at most 10; .*itemknn"):
            Ease().fit(ROWS, ITEMS)


class TestContent(RecommenderContract):
    system = "content"

    def test_an_item_that_nobody_took_is_found_by_its_text(self) -> None:
        model = Content(HashEncoder())
        model.fit(ROWS, ITEMS)
        assert COLD in ranking(model, ["tea-0", "tea-1"])[:2]
        assert model.because_for(["tea-0", "honey-1"], COLD) == "tea-0"

    def test_an_item_without_a_text_is_like_nothing(self) -> None:
        model = Content(HashEncoder())
        model.fit(ROWS, ITEMS)
        assert dict(model.recommend_for(["tea-0"], 99))[EXTRA] == 0.0
        assert model.because_for([EXTRA], "tea-0") is None


class TestHybrid(RecommenderContract):
    system = "hybrid"

    def test_its_score_is_the_weighted_sum_of_its_parts(self) -> None:
        model = Hybrid(HashEncoder())
        model.fit(ROWS, ITEMS)
        profile = model.matrix.columns(["tea-0", "coffee-1"])
        units = tuning.spreads(model.parts)
        pairs = zip(model.choice.mixture, model.parts, units, strict=True)
        expected = sum(w * part.scores(profile) / unit for w, part, unit in pairs)
        np.testing.assert_allclose(model.scores(profile), expected, atol=1e-9)

    def test_it_says_what_it_chose_and_on_how_many_people(self) -> None:
        model = Hybrid(HashEncoder())
        model.fit(ROWS, ITEMS)
        assert model.choice.mixture in tuning.GRID
        assert model.choice.users == len(leave_last_out(ROWS).held)
        assert model.choice.ndcg == pytest.approx(ndcg_of(model.choice.mixture, ROWS), abs=1e-6)

    def test_no_mixture_of_the_grid_does_better_on_validation(self) -> None:
        model = Hybrid(HashEncoder())
        model.fit(ROWS, ITEMS)
        assert model.choice.ndcg is not None
        for mixture in random.Random(2).sample(tuning.GRID, 12):
            assert ndcg_of(mixture, ROWS) <= model.choice.ndcg + 1e-6

    def test_with_few_people_the_default_is_taken_and_said(self) -> None:
        model = Hybrid(HashEncoder())
        model.fit(shop_of_topics(users=12), ITEMS)
        assert model.choice == (tuning.DEFAULT, None, 12)

    def test_texts_get_weight_where_only_texts_tell(self) -> None:
        # Nobody shares a taste, and each one's last item was taken by nobody before.
        items = [
            {"item": f"i{n:02d}-{m}", "title": "", "text": f"word{n} word{n + 99}", "category": ""}
            for n in range(40)
            for m in range(3)
        ]
        rows = [
            row for n in range(40) for row in taken(f"u{n:02d}", *(f"i{n:02d}-{m}" for m in "120"))
        ]
        model = Hybrid(HashEncoder())
        model.fit(rows, items)
        assert model.choice.mixture.content > 0
        assert model.choice.ndcg == 1.0


def ndcg_of(mixture: tuning.Mixture, rows: Sequence[dict[str, Any]]) -> float:
    """NDCG@10 on validation by ranking everything, the slow way; ties stand before the target."""
    split = leave_last_out(rows)
    parts = Hybrid(HashEncoder()).new_parts()
    for part in parts:
        part.fit(split.train, ITEMS)
    units = tuning.spreads(parts)
    gains = []
    for user, held in split.held.items():
        own = parts[0].matrix.of_user(user)
        pairs = zip(mixture, parts, units, strict=True)
        scores = sum(w / unit * part.scores(own) for w, part, unit in pairs)
        target = parts[0].matrix.column(held)
        if target is None:
            gains.append(0.0)
            continue
        others = [s for c, s in enumerate(scores) if c not in own and c != target]
        place = 1 + sum(s >= scores[target] - 1e-12 for s in others)
        gains.append(1 / np.log2(place + 1) if place <= 10 else 0.0)
    return float(np.mean(gains))


def test_an_unknown_system_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"no recommender 'eas'\. Did you mean 'ease'"):
        build("eas", HashEncoder())
    assert NAMES == ("popular", "itemknn", "ease", "content", "hybrid")


def test_the_item_first_taken_last_is_held_out() -> None:
    rows = [*taken("a", "x", "y", "z", "x"), *taken("b", "x"), *taken("c", "x", "x")]
    split = leave_last_out(rows)
    assert split.held == {"a": "z"}  # buying x again is no discovery; b and c have one item
    assert [(r["user"], r["item"]) for r in split.train] == [
        ("a", "x"), ("b", "x"), ("c", "x"), ("a", "y"),
    ]  # fmt: skip


def test_a_text_is_encoded_once() -> None:
    class Counting(HashEncoder):
        asked = 0

        def encode(self, texts: Sequence[str]) -> np.ndarray:
            self.asked += len(texts)
            return super().encode(texts)

    inner = Counting()
    once = Remembering(inner)
    first = once.encode(["tea", "coffee", "tea"])
    np.testing.assert_array_equal(once.encode(["tea", "coffee", "tea"]), first)
    np.testing.assert_array_equal(first, HashEncoder().encode(["tea", "coffee", "tea"]))
    assert inner.asked == 2
    assert once.encode([]).shape == (0, inner.dim)


def ndcg_at_10(model: Recommender, held: dict[str, str]) -> float:
    """Mean over users of 1 / log2(place + 1), 0 from place 11 on."""
    gains = []
    for user, item in held.items():
        top = [scored.item for scored in model.recommend(user, 10)]
        gains.append(1 / np.log2(top.index(item) + 2) if item in top else 0.0)
    return float(np.mean(gains))


def test_what_goes_together_in_the_demo_shop_is_learnt() -> None:
    found = data.interactions("demo:orders")
    split = leave_last_out(found.ratings)
    scores = {}
    for name in ("popular", "itemknn", "ease"):
        model = build(name, HashEncoder())
        model.fit(split.train, found.items)
        scores[name] = ndcg_at_10(model, split.held)
    assert min(scores["itemknn"], scores["ease"]) > scores["popular"] + 0.10, scores


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("model", "expected"),
    [(Popular(), 0.0219), (ItemKNN(k=100, shrinkage=0.0), 0.0361), (Ease(l2=100.0), 0.0363)],
)
def test_on_movielens_each_comes_near_its_reference(model: Recommender, expected: float) -> None:
    """ml-latest-small, ratings of 4 and more, leave-last-out, full ranking, 608 users."""
    liked = [r for r in data.interactions("data:ml-latest-small").ratings if r["rating"] >= 4]
    split = leave_last_out(liked)
    model.fit(split.train, [])
    assert ndcg_at_10(model, split.held) == pytest.approx(expected, abs=0.001)
