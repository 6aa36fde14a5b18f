"""When a person comes in, and what they are handed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.core.desk import Said
from app.core.memory import Memory, Running
from app.sentiment.prediction import Prediction
from app.support import handoff, mood
from app.support.flows.route import registry
from app.support.handoff import Decision, decide

ANGRY, GLAD, FLAT = -0.9, 0.9, 0.0


def memory(**rest: object) -> Memory:
    return Memory.model_validate(rest)


# Mood over the turns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moods", "sunk"),
    [
        ([], False),
        ([-1.0], False),  # one bad turn is a bad turn
        ([ANGRY, ANGRY], True),
        ([0.5, 0.0, -0.5, -0.9], True),  # it sinks step by step
        ([ANGRY, GLAD], False),
        ([ANGRY, FLAT, FLAT, ANGRY], True),
        ([ANGRY, FLAT, GLAD, ANGRY], False),  # what was made good does not count
        ([GLAD, GLAD, GLAD, ANGRY, ANGRY], True),  # earlier joy is no credit
        ([FLAT] * 20, False),
        ([-0.3] * 50, False),
        ([-0.4] * 3, False),
        ([-0.4] * 5, True),
    ],
)
def test_the_mood_sinks_over_turns_not_in_one(moods: list[float], sunk: bool) -> None:
    assert mood.sunk(moods) is sunk


def test_the_mood_is_that_of_the_classifier_and_of_the_words() -> None:
    feels = mood.reader(lambda texts: [_read(0.05) for _ in texts])
    assert feels("You are terrible and useless, I hate this") < -0.85
    assert -0.5 < feels("The parcel has been standing there since Monday") < -0.4
    assert feels("Thanks, that is perfect, but I wonder") > 0


@pytest.mark.parametrize("text", ["no", "Cancel my order", "How long do I have to wait for it?"])
def test_questions_and_short_replies_are_neutral(text: str) -> None:
    assert mood.reader(lambda texts: [_read(0.02) for _ in texts])(text) == 0.0


def test_chinese_is_read_by_words_alone() -> None:
    feels = mood.reader(lambda texts: [_read(0.99) for _ in texts])
    assert feels("太失望了，质量很差") < -0.5
    assert feels("我想退货") == 0.0


def test_a_classifier_that_breaks_costs_no_turn() -> None:
    def broken(_: Sequence[str]) -> list[Prediction]:
        raise RuntimeError("no weights")

    assert mood.reader(broken)("This is terrible, really the worst thing") < -0.8
    assert mood.reader()("This is terrible") < -0.5


def _read(positive: float) -> Prediction:
    odds = {"negative": 1 - positive, "positive": positive}
    return Prediction("positive" if positive > 0.5 else "negative", positive, odds, False)


# When --------------------------------------------------------------------------------------------


def test_who_asks_gets_a_person_at_once() -> None:
    assert decide(memory(), asked=True) == Decision("asked", True)
    assert decide(memory(ticket="t1"), asked=True) == Decision("asked", True)


def test_a_failure_is_handed_over_at_once() -> None:
    assert decide(memory(), failed=True) == Decision("failure", True)


def test_all_is_well() -> None:
    assert decide(memory(moods=[FLAT, 0.4], declined=1)) is None


def test_declines_in_a_row_lead_to_an_offer_then_to_a_person() -> None:
    decided = [decide(memory(declined=n)) for n in range(4)]
    assert decided == [
        None, None, Decision("low_confidence", False), Decision("low_confidence", True),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["差不多了", "没有不满意", "没什么不好"])
def test_words_of_displeasure_within_harmless_ones_count_for_nothing(text: str) -> None:
    assert mood.reader()(text) == 0.0


def test_a_sunk_mood_makes_it_sooner() -> None:
    low = [ANGRY, ANGRY]
    assert decide(memory(moods=low, declined=0)) == Decision("mood", False)
    assert decide(memory(moods=low, declined=2)) == Decision("mood", True)
    assert decide(memory(moods=[ANGRY], declined=2)) == Decision("low_confidence", False)


def test_an_offer_is_not_repeated_each_turn() -> None:
    offers = [decide(memory(moods=[ANGRY] * n)) is not None for n in range(1, 9)]
    assert offers == [False, True, False, False, True, False, False, True]


def test_a_flow_that_asks_in_vain_offers_a_person() -> None:
    stuck = Running(flow="return", key="k", asks="order", tries=handoff.TRIES)
    assert decide(memory(running=stuck)) == Decision("low_confidence", False)
    assert decide(memory(running=stuck.model_copy(update={"tries": 2}))) is None


def test_nothing_is_offered_while_a_ticket_is_under_way() -> None:
    assert decide(memory(ticket="t1", declined=9, moods=[ANGRY] * 5), failed=True) is None


# What --------------------------------------------------------------------------------------------


def test_a_packet_says_what_is_wanted_and_how_far_it_got() -> None:
    slots = {"order": "FK-1042", "item": "Heron Kettle"}
    running = Running(flow="return", key="k", slots=slots)
    said = [
        Said(role="user", content="I want to send the kettle back"),
        Said(role="assistant", content="Why?"),
        Said(role="user", content="It leaks.\nAnd I am tired of this"),
    ]
    made = handoff.packet(
        "mood", "en", memory(running=running, moods=[-0.5, ANGRY]), said,
        [{"id": "returns", "title": "Returns"}, {"id": "returns", "title": "Returns"}],
    )  # fmt: skip
    assert made.summary == (
        "The customer wants to send something back (order FK-1042, item Heron Kettle); they are "
        "losing patience. Last words: “It leaks. And I am tired of this”"
    )
    assert made.slots == slots
    assert made.intent == "return"
    assert made.evidence == [{"id": "returns", "title": "Returns"}]
    assert made.moods == [-0.5, ANGRY]
    assert made.transcript == said


def test_a_packet_is_in_the_customers_language() -> None:
    said = [Said(role="user", content="转人工")]
    made = handoff.packet("asked", "zh", memory(intent="order_status"), said)
    assert made.summary == "顾客想查询订单状态；顾客要求人工服务。最后一句：“转人工”"


def test_an_empty_conversation_has_a_packet_too() -> None:
    made = handoff.packet("asked", "en", memory())
    assert made.summary == "The customer wants to get an answer; they asked for a person."
    assert (made.transcript, made.slots, made.moods) == ([], {}, [])


def test_an_order_that_was_identified_is_known() -> None:
    made = handoff.packet("asked", "en", memory(identified={"FK-1": "a@b.example"}))
    assert made.slots == {"order": "FK-1"}


def test_a_long_last_message_is_cut_in_the_summary_alone() -> None:
    said = [Said(role="user", content="word " * 200)]
    made = handoff.packet("asked", "en", memory(), said)
    assert made.summary.endswith("…”")
    assert len(made.summary) < 300
    assert made.transcript == said


def test_a_flow_of_ones_own_is_called_by_its_name() -> None:
    assert handoff.wants("gift_wrap", "en") == "gift wrap"
    assert handoff.slot("gift_paper", "en") == "gift paper"


@pytest.mark.parametrize("flow", sorted(registry()))
def test_what_the_customer_wants_is_told_for_every_flow(flow: str) -> None:
    said = {language: handoff.wants(flow, language) for language in ("en", "zh")}
    assert said["en"] != said["zh"], f"handoff._WANTS lacks {flow}"
    asks_nothing = {handoff.wants("question", language) for language in ("en", "zh")}
    assert not asks_nothing & set(said.values())
