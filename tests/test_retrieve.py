"""Search over articles: what is found, in which language, after which turn, and how surely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.core.data import corpus, sha256_of
from app.core.errors import InputError
from app.core.kinds import Corpus
from app.core.messages import Message
from app.knowledge import confidence, followup
from app.knowledge.fit import at_hand, chosen
from app.knowledge.parts import parts
from app.knowledge.retrieve import Knowledge, Mode
from app.knowledge.settings import RetrievalConfig
from app.models.encoder import HashEncoder

DOCS: list[dict[str, Any]] = [
    {"id": "delivery", "title": "What delivery costs", "url": "/help/delivery",
     "text": "Delivery to the UK costs €7.50, and you pay it at the checkout with the goods.\n\n"
             "Norway and Switzerland cost €9.50, because a parcel there crosses a border."},
    {"id": "grinder", "title": "The Dunlin hand grinder",
     "text": "Clean the burrs of the grinder every four weeks with the small dry brush.\n\n"
             "For espresso, open the burrs by eight clicks from where they touch each other."},
    {"id": "cards", "title": "Gift cards",
     "text": "A gift card is valid for three years and cannot be exchanged for any cash at all."},
    {"id": "delivery-zh", "title": "运费说明", "lang": "zh", "same_as": "delivery",
     "text": "寄往英国的运费是 7.50 欧元，结账时和商品一起付款。"},
    {"id": "cards-zh", "title": "礼品卡", "lang": "zh", "same_as": "cards",
     "text": "礼品卡的有效期是三年，不能兑换现金，也不找零。"},
    {"id": "staff", "title": "Refund limits for staff", "visibility": "internal",
     "text": "The agent may refund up to €50 without asking the manager for permission."},
]  # fmt: skip
MODES: tuple[Mode, ...] = ("bm25", "dense", "hybrid")


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.build(DOCS, HashEncoder())


def articles(found: list[Any]) -> list[str]:
    return [passage.article for passage in found]


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_finds_the_passage_that_answers(knowledge: Knowledge, mode: Mode) -> None:
    best = knowledge.search("How often do I clean the burrs of my grinder?", mode=mode)[0]
    assert (best.id, best.title) == ("grinder#0", "The Dunlin hand grinder")


def test_passages_come_best_first_and_at_most_k(knowledge: Knowledge) -> None:
    found = knowledge.search("delivery to Norway", k=3)
    scores = [passage.score for passage in found]
    assert len(found) == 3
    assert scores == sorted(scores, reverse=True)


def test_a_title_alone_brings_up_its_article(knowledge: Knowledge) -> None:
    assert articles(knowledge.search("Dunlin", k=1)) == ["grinder"]


@pytest.mark.parametrize("mode", MODES)
def test_articles_that_are_not_public_are_never_found(knowledge: Knowledge, mode: Mode) -> None:
    found = knowledge.search("agent refund without manager permission", k=50, mode=mode)
    assert "staff" not in articles(found)


def test_a_chinese_question_searches_the_chinese_articles(knowledge: Knowledge) -> None:
    assert articles(knowledge.search("寄到英国运费多少", k=9)) == ["delivery-zh", "cards-zh"]


def test_an_english_question_searches_the_english_articles(knowledge: Knowledge) -> None:
    found = articles(knowledge.search("delivery to the UK", k=9))
    assert not any(article.endswith("-zh") for article in found)


def test_without_chinese_articles_a_chinese_question_searches_all() -> None:
    english = Knowledge.build(DOCS[:3], HashEncoder())
    assert english.search("Dunlin 怎么清洁", k=1)[0].article == "grinder"


@pytest.mark.parametrize("question", ["", "   ", "?!…", "😀😀"])
def test_a_question_without_words_finds_nothing(knowledge: Knowledge, question: str) -> None:
    assert knowledge.search(question) == []
    assert knowledge.confidence(question, []) == 0.0


def test_articles_without_public_text_are_refused() -> None:
    with pytest.raises(InputError, match="no public article"):
        Knowledge.build(DOCS[-1:], HashEncoder())


def test_a_follow_up_is_understood_by_the_turn_before(knowledge: Knowledge) -> None:
    before = [
        Message(role="user", content="How many clicks on the grinder for a moka pot?"),
        Message(role="assistant", content="Twelve."),
    ]
    assert knowledge.search("and for espresso?", history=before, k=1)[0].id == "grinder#1"


def test_a_new_topic_is_not_drawn_back_to_the_old_one(knowledge: Knowledge) -> None:
    before = [Message(role="user", content="How do I clean the burrs of the grinder?")]
    asked = "For how many years is a gift card valid before the money on it is lost?"
    assert knowledge.search(asked, history=before, k=1)[0].article == "cards"


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("and for espresso?", True),
        ("how long does it take?", True),
        ("What about Norway?", True),
        ("那瑞士呢", True),
        ("瑞士？", True),
        ("Do you ship to Norway?", False),
        ("How many days does standard delivery to Norway take in December?", False),
        ("手冲咖啡的水温应该烧到多少度比较合适", False),
    ],
)
def test_what_leans_on_the_turn_before(question: str, leans: bool) -> None:
    assert followup.leans(question) is leans


def test_a_follow_up_is_read_after_the_user_turns_that_it_leans_on() -> None:
    said = ["Is the roastery open in May?", "What does delivery to Norway cost?", "and to Oslo?"]
    turns = [Message(role="user", content=text) for text in said]
    turns.append(Message(role="assistant", content="Just the same."))
    assert followup.whole("and how long?", turns) == "\n".join([*said[1:], "and how long?"])
    assert followup.whole("What does a tea tin cost?", turns) == "What does a tea tin cost?"
    assert followup.whole("and how long?", []) == "and how long?"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "Do you take PayPal, and when does it ship?",
            ["Do you take PayPal", "when does it ship?"],
        ),
        (
            "My cup broke. What do I do now? Also how long is the warranty?",
            ["What do I do now?", "Also how long is the warranty?"],
        ),
        ("磨豆机保修几年？水壶可以用醋洗吗？", ["磨豆机保修几年？", "水壶可以用醋洗吗？"]),
        ("What does delivery cost?", ["What does delivery cost?"]),
        ("My cup broke. It was a gift.", ["My cup broke. It was a gift."]),
    ],
)
def test_a_message_is_taken_apart_into_what_it_asks(question: str, expected: list[str]) -> None:
    assert parts(question) == expected


def test_both_parts_of_a_question_bring_up_their_articles(knowledge: Knowledge) -> None:
    asked = "How long is a gift card valid, and what does delivery to the UK cost?"
    ranking = knowledge.rank(asked)
    best = [ranking.shelf.articles[part.argmax()] for part in ranking.parts]
    assert best == ["cards", "delivery"]


def test_confidence_is_a_share_that_is_higher_for_what_the_articles_say(
    knowledge: Knowledge,
) -> None:
    sure = knowledge.confidence(q := "What does delivery to the UK cost?", knowledge.search(q))
    lost = knowledge.confidence(q := "Who won the football match?", knowledge.search(q))
    assert 0 <= lost < sure <= 1


def test_a_huge_question_is_searched_in_bounded_memory(knowledge: Knowledge) -> None:
    assert knowledge.search("grinder " * 1000, k=1)[0].article == "grinder"


def test_confidence_was_fitted_on_the_articles_and_questions_at_hand() -> None:
    """Else run `python -m app.knowledge.fit` again."""
    found = confidence.load()
    assert found.fitted["data_sha256"] == sha256_of("demo:support")
    assert found.retrieval == RetrievalConfig()


def test_confidence_rises_with_what_speaks_for_an_answer_and_falls_with_what_speaks_against() -> (
    None
):
    fitted = confidence.load()
    every = (fitted.plain, fitted.ordered, fitted.asked)
    for weights in (each for own in every for each in own.languages.values()):
        assert all(w > 0 for name, w in weights.features.items() if name != "elsewhere")
        assert weights.features.get("elsewhere", -1.0) < 0


@pytest.mark.parametrize(
    ("found", "taken"), [({0.3: 0.50, 0.5: 0.51}, 0.3), ({0.3: 0.50, 0.5: 0.53}, 0.5)]
)
def test_a_weight_stays_where_no_other_is_clearly_better(
    monkeypatch: pytest.MonkeyPatch, knowledge: Knowledge, found: dict[float, float], taken: float
) -> None:
    def mrr(_: Any, own: RetrievalConfig, change: dict[str, Any], *__: Any) -> float:
        return found.get(change.get("bm25_weight", own.bm25_weight), 0.0)

    monkeypatch.setattr("app.knowledge.fit._mrr", mrr)
    grids = {"en": {"bm25_weight": (0.3, 0.5)}}
    made = Knowledge.build(DOCS, knowledge.encoder or HashEncoder(), RetrievalConfig())
    assert chosen(made, Corpus(DOCS, []), grids).bm25_weight == taken


def test_public_sets_that_are_not_at_hand_are_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stackfaq").mkdir()
    monkeypatch.setenv("FRONTDESK_DATA", str(tmp_path))
    assert list(at_hand()) == ["data:stackfaq"]
    assert "not learnt from: data:squad2_small" in capsys.readouterr().out


@pytest.mark.slow
def test_plain_questions_find_their_article_with_the_packaged_encoder() -> None:
    """Asked as plainly as most customers do; the demo's own questions are harder by design."""
    from app.models.load import resolve, text_encoder

    docs = corpus("demo:support").docs
    encoder = text_encoder(resolve("sentence-transformers/all-MiniLM-L6-v2"))
    knowledge = Knowledge.build(docs, encoder)
    plain = {
        "How long does delivery to the UK take?": "delivery-time",
        "What does delivery to Norway cost?": "shipping-cost",
        "How do I descale my kettle?": "kettle-descale",
        "Can I return an opened bag of coffee?": "returns-window",
        "what temperature for green tea": "tea-temperature",
        "寄到英国运费多少？": "shipping-cost-zh",
        "忘记密码怎么办": "account-password-zh",
    }
    threshold = confidence.load().asked.threshold
    for question, article in plain.items():
        found = knowledge.search(question, k=1)
        assert found[0].article == article, question
        assert knowledge.confidence(question, found) > threshold, question
    for question in ("Who is the president of France?", "do you sell bicycles"):
        assert knowledge.confidence(question, knowledge.search(question)) < threshold, question
