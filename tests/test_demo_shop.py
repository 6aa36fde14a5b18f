"""The demo shop's data keeps what app/demo/README.md promises, in numbers."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.core.data import classification, interactions
from app.core.files import DEMO
from app.demo.generate import generate

Row = dict[str, Any]
GENERATED = ("shop/customers.csv", "shop/orders.csv", "recommend/ratings.csv")
CATEGORIES = {"Coffee", "Tea", "Brewing Gear", "Cups & Tableware", "Pantry", "Gifts & Home"}
WINTER = {"lighthouse-drinking-cocoa", "cold-stove-candle", "beeswax-dinner-candles",
          "roastery-gift-box", "first-pot-gift-box", "twelve-evenings-box"}  # fmt: skip
SUMMER = {"slack-water-cold-brew", "cold-brew-bottle", "jetty-iced-tea"}
STAPLES = {"Coffee", "Tea"}
TRAIN_TOPICS = {"refund-timing", "wrong-item", "subscription-basics", "storing-tea", "decaf",
                "brew-cold-brew", "spare-parts", "delete-data", "loyalty"}  # fmt: skip
ANY_PII = re.compile(r"[\w.]+@example\.(?:org|com)|\+\d\d [\d ]{8,}\d")


@cache
def table(name: str) -> list[Row]:
    """A csv or jsonl file of the demo."""
    with (DEMO / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)) if name.endswith("csv") else [*map(json.loads, file)]


@cache
def catalogue() -> dict[str, Row]:
    return {row["item"]: row for row in table("recommend/items.csv")}


def of_month(items: set[str], months: set[int]) -> float:
    """The share of the order lines of some items that falls in some months."""
    lines = [row for row in table("shop/orders.csv") if row["item"] in items]
    return sum(int(row["date"][5:7]) in months for row in lines) / len(lines)


def grouped(key: str, name: str = "shop/orders.csv") -> dict[str, set[str]]:
    """The items of each order, or of each customer."""
    groups: dict[str, set[str]] = defaultdict(set)
    for row in table(name):
        groups[row[key]].add(row["item"])
    return groups


def lift(groups: dict[str, set[str]], one: str, other: str) -> float:
    """How many times more often two items meet than they would by chance."""
    has_one, has_other = ({k for k, v in groups.items() if i in v} for i in (one, other))
    return len(has_one & has_other) * len(groups) / (len(has_one) * len(has_other))


def grams(texts: list[str], n: int = 8) -> set[tuple[str, ...]]:
    """All runs of n words."""
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    return {tuple(w[i : i + n]) for w in words for i in range(len(w) - n + 1)}


def texts(name: str) -> list[str]:
    return [row["text"] for row in table(name)]


# The catalogue


def test_catalogue_is_whole() -> None:
    rows = table("recommend/items.csv")
    sizes = Counter(row["category"] for row in rows)
    assert len(catalogue()) == len(rows) == 66
    assert set(sizes) == CATEGORIES
    assert all(9 <= n <= 13 for n in sizes.values())
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row["item"]) for row in rows)
    assert all(25 <= len(row["text"].split()) <= 50 for row in rows)
    assert all(re.fullmatch(r"\d+\.\d\d", row["price"]) for row in rows)
    assert 2 <= sum(int(row["stock"]) == 0 for row in rows) <= 3


def test_catalogue_agrees_with_the_help_pages() -> None:
    goods = catalogue()
    house, decaf = (float(goods[i]["price"]) for i in ("harbour-house-blend", "low-tide-decaf"))
    assert decaf - house == pytest.approx(1.0)
    assert "barley" in goods["malt-biscuit-tea"]["text"]
    assert {"dunlin-hand-grinder", "heron-gooseneck-kettle", "ceremonial-matcha"} <= set(goods)
    coffees = [row for row in goods.values() if row["category"] == "Coffee"]
    organic = sum("organic" in row["text"].lower() for row in coffees) / len(coffees)
    assert organic == pytest.approx(0.7, abs=0.05)


# Customers and orders


def test_regeneration_is_byte_identical(tmp_path: Path) -> None:
    generate(tmp_path)
    for name in GENERATED:
        assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes(), name
    assert sorted(p.suffix for p in tmp_path.rglob("*.*")) == [".csv"] * 3


def test_orders_are_2000_sound_lines() -> None:
    orders, people = table("shop/orders.csv"), {r["customer"] for r in table("shop/customers.csv")}
    assert len(orders) == 2000
    assert 300 <= len(people) <= 340
    assert {row["customer"] for row in orders} == people
    days = [dt.datetime.fromisoformat(row["date"]) for row in orders]
    assert days == sorted(days)
    assert dt.datetime(2025, 1, 1) <= days[0] < days[-1] < dt.datetime(2026, 11, 1)
    assert {row["status"] for row in orders} == {"delivered", "shipped", "packed", "cancelled"}
    assert all(row["price"] == catalogue()[row["item"]]["price"] for row in orders)
    assert set(grouped("item")) == set(catalogue())


def test_customers_are_invented_and_known_before_they_order() -> None:
    people = table("shop/customers.csv")
    assert all(re.fullmatch(r"[a-z.]+@example\.(org|com)", row["email"]) for row in people)
    assert len({row["email"] for row in people}) == len(people)
    since = {row["customer"]: row["since"] for row in people}
    assert all(since[row["customer"]] <= row["date"][:10] for row in table("shop/orders.csv"))


def test_no_honey_and_no_dairy_to_china() -> None:
    country = {row["customer"]: row["country"] for row in table("shop/customers.csv")}
    sent = {r["item"] for r in table("shop/orders.csv") if country[r["customer"]] == "CN"}
    assert sent
    assert not sent & {"heather-honey", "sea-salt-caramels", "twelve-evenings-box"}


def test_ratings_are_the_orders_that_were_kept() -> None:
    kept = Counter((r["customer"], r["item"]) for r in table("shop/orders.csv")
                   if r["status"] != "cancelled")  # fmt: skip
    ratings = table("recommend/ratings.csv")
    assert Counter((row["user"], row["item"]) for row in ratings) == kept
    assert len({(row["user"], row["timestamp"]) for row in ratings}) == len(ratings)
    assert len(interactions("demo:orders").ratings) == len(ratings)


def test_most_users_can_spare_their_last_item() -> None:
    assert sum(len(v) >= 3 for v in grouped("user", "recommend/ratings.csv").values()) >= 200


# Structure in the orders


def test_seasons() -> None:
    everything = set(catalogue())
    assert of_month(WINTER, {11, 12}) > 0.55 > 0.25 > of_month(everything, {11, 12})
    assert of_month(SUMMER, {6, 7, 8}) > 0.7 > 0.35 > of_month(everything, {6, 7, 8})
    assert of_month({"twelve-evenings-box"}, {10, 11, 12}) == 1.0


@pytest.mark.parametrize(("one", "other", "least"), [
    ("ceremonial-matcha", "bamboo-matcha-whisk", 3.0),
    ("everyday-matcha", "bamboo-matcha-whisk", 3.0),
    ("first-light-filter-blend", "paper-filters-100", 2.5),
    ("tern-dripper", "paper-filters-100", 3.0),
    ("slack-water-cold-brew", "cold-brew-bottle", 6.0),
    ("lighthouse-drinking-cocoa", "ballast-marshmallows", 4.0),
    ("scone-mix", "bramble-jam", 4.0),
])  # fmt: skip
def test_goods_go_together_in_a_basket(one: str, other: str, least: float) -> None:
    assert lift(grouped("order"), one, other) > least


def test_kettle_and_dripper_go_together_over_the_years() -> None:
    assert lift(grouped("customer"), "heron-gooseneck-kettle", "tern-dripper") > 4


def test_a_third_buys_the_same_coffee_or_tea_again_after_some_weeks() -> None:
    bought: dict[tuple[str, str], list[dt.date]] = defaultdict(list)
    for row in table("shop/orders.csv"):
        if catalogue()[row["item"]]["category"] in STAPLES:
            day = dt.date.fromisoformat(row["date"][:10])
            bought[row["customer"], row["item"]].append(day)
    again = {customer for (customer, _), days in bought.items() if len(days) > 1}
    gaps = sorted((b - a).days for days in bought.values() for a, b in pairwise(days))
    assert len(again) / len(grouped("customer")) > 0.33
    assert 21 <= gaps[len(gaps) // 2] <= 56


def test_the_tail_is_long() -> None:
    sold = [n for _, n in Counter(row["item"] for row in table("shop/orders.csv")).most_common()]
    assert sum(sold[:13]) / 2000 > 0.35
    assert 0.15 < sum(sold[33:]) / 2000 < 0.3


# Reviews


def test_reviews_have_their_splits_and_labels_follow_the_stars() -> None:
    rows = table("sentiment/reviews.jsonl")
    label = {1: "negative", 2: "negative", 3: None, 4: "positive", 5: "positive"}
    assert all(row["label"] == label[row["stars"]] and row["synthetic"] is True for row in rows)
    assert Counter(row["split"] for row in rows if row["label"]) == {
        "test": 180, "train": 50, "dev": 20}  # fmt: skip
    assert len(classification("demo:reviews#test")) == 180
    assert 0.08 < sum(row["stars"] == 3 for row in rows) / len(rows) < 0.12
    assert len({row["id"] for row in rows}) == len(set(texts("sentiment/reviews.jsonl"))) >= 270
    assert {row["product"] for row in rows} == set(catalogue())


def test_reviews_are_balanced_and_half_idiom() -> None:
    patterns = json.loads((DEMO / "sentiment" / "idioms.json").read_text(encoding="utf-8"))
    idiom = {name for pattern in patterns for name in pattern["reviews"]}
    rows = [row for row in table("sentiment/reviews.jsonl") if row["label"]]
    cells = Counter((r["split"], r["label"], r["id"] in idiom) for r in rows)
    assert len(patterns) == 40
    assert all(cells["test", label, odd] == 45
               for label in ("positive", "negative") for odd in (True, False))  # fmt: skip
    assert all(len(p["reviews"]) >= 3 and len(p["feedback_lines"]) >= 3 for p in patterns)


def test_idioms_point_at_reviews_and_corrections_of_their_label() -> None:
    labels = {row["id"]: row["label"] for row in table("sentiment/reviews.jsonl")}
    lines = [row["correction"] for row in table("feedback/sentiment.jsonl")]
    for pattern in json.loads((DEMO / "sentiment" / "idioms.json").read_text(encoding="utf-8")):
        found = [labels[name] for name in pattern["reviews"]]
        found += [lines[number - 1] for number in pattern["feedback_lines"]]
        assert set(found) == {pattern["label"]}, pattern["pattern"]


def test_reviews_are_short_and_long() -> None:
    words = [len(text.split()) for text in texts("sentiment/reviews.jsonl")]
    assert min(words) == 3
    assert 60 <= max(words) <= 70


# Feedback


@pytest.mark.parametrize("name", ["sentiment", "sentiment_noise"])
def test_corrections_are_scripted_and_consented(name: str) -> None:
    rows = table(f"feedback/{name}.jsonl")
    opposite = {"positive": "negative", "negative": "positive"}
    assert len(rows) == 200
    assert all(row["predicted"] == opposite[row["correction"]] for row in rows)
    assert all(row["rating"] == -1 and row["consent"] and row["synthetic"] for row in rows)
    assert Counter(row["correction"] for row in rows) == {"positive": 100, "negative": 100}
    assert len({row["user"] for row in rows}) == 25


def test_corrections_hold_ten_with_pii_and_six_repeated_by_somebody_else() -> None:
    rows = table("feedback/sentiment.jsonl")
    senders: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        senders[row["text"]].append(row["user"])
    assert sum(bool(ANY_PII.search(row["text"])) for row in rows) == 10
    assert Counter(map(len, senders.values())) == {1: 188, 2: 6}
    assert all(len(set(users)) == len(users) for users in senders.values())


@pytest.mark.parametrize("name", ["sentiment", "sentiment_noise"])
def test_no_8_words_in_a_row_are_shared_with_the_reviews(name: str) -> None:
    reviews, corrections = texts("sentiment/reviews.jsonl"), texts(f"feedback/{name}.jsonl")
    assert not grams(reviews) & grams(corrections)
    assert not set(reviews) & set(corrections)


def test_honest_and_wrong_corrections_come_from_different_people() -> None:
    honest, wrong = ({row["user"] for row in table(f"feedback/{name}.jsonl")}
                     for name in ("sentiment", "sentiment_noise"))  # fmt: skip
    assert not honest & wrong
    assert honest | wrong <= {row["customer"] for row in table("shop/customers.csv")}


def test_chat_corrections_stay_on_train_topics() -> None:
    rows = table("feedback/support.jsonl")
    assert len(rows) == len({row["question"] for row in rows}) == 60
    assert {topic for row in rows for topic in row["citations"]} == TRAIN_TOPICS
    assert all(row["rating"] == -1 and row["consent"] and row["synthetic"] for row in rows)
    assert all(row["answer"] != row["correction"] and row["user"] for row in rows)
