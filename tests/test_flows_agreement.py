"""What a flow takes for a yes, for another order, for a refusal: nothing that was not meant."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import AppError, InputError
from app.store.db import Store
from app.store.models import OrderLine, Return, Ticket, Write
from app.support import flows
from app.support.chat import SupportChat
from app.support.flows import agreement, heard
from app.support.flows.change_address import _address
from app.support.flows.route import registry, route
from tests.helpers_flows import (
    EVERYTHING,
    IMOGEN,
    OWNER,
    Visit,
    chat,
    module_store,
    stands,
    store,
)

__all__ = ["chat", "module_store", "store"]

Start = Callable[..., Visit]


@pytest.fixture
def start(chat: SupportChat, store: Store) -> Start:
    """A visit that has said some things already."""

    def begun(*said: str, language: str = "en") -> Visit:
        visit = Visit(chat, store, language)
        for text in said:
            visit.say(text)
        return visit

    return begun


CANCEL = f"Please cancel my order FK-10993, {IMOGEN}"
CANCEL_ZH = f"请取消订单 FK-10993，{IMOGEN}"
RETURN = f"I want to return something from FK-10993, {IMOGEN}"

# Yes --------------------------------------------------------------------------------------------

AGREES = [
    "Yes", "yes please", "Yes, cancel it", "Do it", "OK do it please", "No problem", "OK",
    "yes thank you very much", "Yes, that's correct", "Sure, go ahead", "Yes, that is right",
    "yes, please go ahead and register it", "Yes!",
    "好的，请办理。", "是的", "确认", "对，取消吧", "好的谢谢", "可以", "嗯嗯", "没错", "是", "行",
]  # fmt: skip
DOES_NOT = [
    "ok never mind", "Okay, forget it", "ok stop", "Ok hold on", "okay wait", "Sure, but wait",
    "yeah no", "ok, don't", "Right, actually no", "yes but not this one", "sure, leave it",
    "Yes, but only one of them", "yesterday I changed it", "correct the address", "Yes, 2",
    "yes, where is it", "ok so how long does it take", "if it is free, yes", "yes if it is free",
    "好吧，算了", "嗯，算了吧", "对不起，不要", "对不起，我点错了", "好像不对", "行了不用了",
    "ok let me think about it", "yes I have a question", "of course I want my tea", "ok bye",
    "ok give me a minute", "OK, good to know", "yes change the address", "yes, one",
    "yes return it",
    "嗯……", "ok..", "ok is that right", "好了谢谢", "好的，我的订单", "行了，谢谢",
    "right, that is the order", "OK so do you cancel orders", "好的我考虑一下", "好麻烦", "好难啊",
    "可以问一下吗", "好的我知道了", "嗯我想想",
    "是我弄错了", "可以先别取消", "好的，先等等", "对了等一下", "是另一个订单", "好吗", "行不行",
]  # fmt: skip


@pytest.mark.parametrize("text", AGREES)
def test_who_agrees_and_says_nothing_else_says_yes(text: str) -> None:
    assert agreement.yes(text, "cancel|register|取消")


@pytest.mark.parametrize("text", DOES_NOT)
def test_who_doubts_refuses_asks_or_wants_another_thing_says_no_yes(text: str) -> None:
    assert not agreement.yes(text, "cancel|register|取消")


@pytest.mark.parametrize("text", DOES_NOT)
def test_nothing_but_a_yes_changes_an_order(start: Start, text: str) -> None:
    visit = start(CANCEL_ZH if "\u4e00" <= text[0] <= "\u9fff" else CANCEL)
    visit.say(text)
    assert (visit.order().status, visit.count(Write)) == ("placed", 0)


@pytest.mark.parametrize(
    ("text", "language", "says"),
    [
        (
            "I'd like to cancel the decaf from my order FK-10993",
            "en",
            "only cancel an order",
        ),
        (
            "Please cancel one of the tins in order FK-10993",
            "en",
            "only cancel an order",
        ),
        ("Please cancel part of my order FK-10993", "en", "only cancel an order"),
        ("请取消订单 FK-10993 里的低因咖啡", "zh", "只能取消整个订单"),
        ("Please cancel all of my order FK-10993", "en", "Shall I cancel order"),
        (
            "Please cancel my order FK-10993 from this morning",
            "en",
            "Shall I cancel order FK-10993",
        ),
    ],
)
def test_who_wants_a_part_gone_is_told_that_it_is_all_or_nothing(
    start: Start, text: str, language: str, says: str
) -> None:
    visit = start(language=language)
    assert says in visit.say(f"{text}, {IMOGEN}")
    assert visit.order().status == "placed"
    visit.say("yes" if language == "en" else "是的")
    assert visit.order().status == "cancelled"


def test_cancel_it_is_a_yes_to_a_cancellation_alone(start: Start) -> None:
    assert "is cancelled" in start(CANCEL).say("Cancel it please")
    visit = start()
    stands(visit.store, "FK-10993", "delivered", 200)
    for text in (RETURN, "the decaf", "no reason", "yes, cancel it"):
        visit.say(text)
    assert visit.count(Return) == 0


@pytest.mark.parametrize(
    ("first", "between", "then", "language"),
    [
        (CANCEL, "How long does the refund take?", "Ok, thanks", "en"),
        (CANCEL, "Where is my parcel?", "ok thanks", "en"),
        (CANCEL, "Where is my parcel?", "ok", "en"),
        (CANCEL, "Do you ship on Saturdays?", "OK, good to know", "en"),
        (CANCEL, "Do you ship on Saturdays?", "yes", "en"),
        (CANCEL_ZH, "退款要多久到账？", "好的，谢谢", "zh"),
        (CANCEL_ZH, "退款要多久到账？", "好", "zh"),
    ],
)
def test_a_yes_after_another_matter_is_none_to_the_question_before(
    start: Start, first: str, between: str, then: str, language: str
) -> None:
    visit = start(first, between, then, language=language)
    assert visit.order().status == "placed"
    visit.say("go on" if language == "en" else "继续")
    visit.say("yes" if language == "en" else "是的")
    assert visit.order().status == "cancelled"


def test_a_shop_that_fails_at_the_yes_is_told_and_the_flow_stays(start: Start) -> None:
    class Failing:
        def find(self, *_: str) -> Any:
            raise AppError("down")

    visit = start(CANCEL)
    visit.helpers = visit.helpers._replace(commerce=Failing())  # type: ignore[arg-type]
    assert "nothing was done" in visit.say("yes")
    assert visit.count(Ticket) == 1


# Which order ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Cancel my order FK-1O993", "not quite an order number"),
        ("I want to cancel order FK-109931", "not quite an order number"),
        ("Please cancel my other order", "Please tell me the order number"),
        (f"Cancel my order FK-10993, I want to keep FK-10863. {IMOGEN}", "more than one order"),
    ],
)
def test_the_known_order_is_not_taken_for_one_that_is_meant(
    start: Start, text: str, said: str
) -> None:
    visit = start(f"Where is my order FK-10993? {IMOGEN}")
    assert said in visit.say(text)
    visit.say("yes")
    assert visit.count(Write) == 0


def test_of_two_orders_the_one_that_corrects_is_taken(start: Start) -> None:
    said = start(f"Cancel order FK-10863, sorry, I meant FK-10993, {IMOGEN}").say("hm")
    assert "FK-10993" in said
    assert heard.several("FK-10863, sorry, FK-10993") == []
    assert heard.several("FK-10863 or FK-10993") == ["FK-10863", "FK-10993"]


def test_a_mistyped_correction_drops_the_order_before(start: Start) -> None:
    visit = start("Cancel order FK-10993")
    assert "not quite" in visit.say(f"Sorry, I meant FK-1O863, my email is {IMOGEN}")
    assert visit.last is not None
    assert visit.last.quick == ["FK-10863"]


def test_a_flow_that_waits_for_another_order_makes_the_known_one_doubtful(start: Start) -> None:
    visit = start(f"Where is my order FK-10993? {IMOGEN}", "Where is my order FK-10863?")
    assert "order number" in visit.say("Change the delivery address")


@pytest.mark.parametrize("text", ["And where is my order FK-10863?", "Is FK-10863 packed too?"])
def test_a_question_about_another_order_changes_nothing_of_what_is_asked(
    start: Start, text: str
) -> None:
    stands(visit_store := start(CANCEL).store, "FK-10863", "placed", 1)
    visit = start(CANCEL, text, "ok thanks", "yes")
    assert visit.count(Write) == 0
    with visit_store.read():
        order = visit_store.commerce.find("FK-10863", IMOGEN)
    assert order is not None
    assert order.status == "placed"


def test_the_story_of_a_return_names_no_order_to_return(start: Start) -> None:
    visit = start()
    stands(visit.store, "FK-10993", "delivered", 200)
    visit.say(RETURN)
    visit.say("the decaf")
    said = visit.say("wrong item, I meant to order what I got in FK-10863")
    assert "for order FK-10993: 1 × Low Tide Decaf" in said
    assert "order FK-10863" not in said


# What comes back --------------------------------------------------------------------------------


@pytest.fixture
def three(start: Start) -> Visit:
    """Three tins of decaf and a tea, delivered; the decaf is to come back."""
    visit = start()
    with visit.store.write() as session:
        session.get_one(OrderLine, ("FK-10993", "low-tide-decaf")).quantity = 3
    stands(visit.store, "FK-10993", "delivered", 200)
    visit.say(RETURN)
    return visit


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        (("3", "no reason", "no, the harbour tea"), "1 × Harbour Breakfast Tea"),
        (("3", "no reason", "No, the other one"), "1 × Harbour Breakfast Tea"),
        (("3", "no reason", "No, only two of them"), "2 × Low Tide Decaf"),
        (("3", "no reason", "Yes, but only one"), "1 × Low Tide Decaf"),
        (("not all of them, just 2", "no reason"), "2 × Low Tide Decaf"),
        (("all", "no reason"), "3 × Low Tide Decaf"),
        (("2", "no reason", "wait, I want to keep the harbour tea"), "I leave everything as it is"),
    ],
)
def test_item_and_number_are_those_that_were_told_last(
    three: Visit, told: tuple[str, ...], asked: str
) -> None:
    three.say("the decaf")
    assert asked in [three.say(text) for text in told][-1]
    assert three.count(Return) == 0


def test_another_item_has_its_number_asked_for(three: Visit) -> None:
    for text in ("the harbour tea", "no reason"):
        three.say(text)
    assert "How many of the 3" in three.say("no, I meant the decaf")


def test_what_is_to_stay_is_not_sent_back(three: Visit) -> None:
    assert "Which item" in three.say("everything except the harbour tea")
    assert "How many of the 3" in three.say("not the tea but the decaf")


# Refusals and questions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Please do not cancel my order", "请不要取消我的订单", "I don't want to return it",
        "I don't want to return my mug, I just want a spare lid", "我不想退货，只想换个盖子",
        "我不是要退货", "不用转人工", "不要转人工，你来回答", "我不想投诉，只想问问",
        "I can't complain, great coffee!", "I don't want to talk to a human",
        "Please return my call", "Please tell me your return policy", "Where is the coffee from?",
        "Where are the teas grown?", "My order FK-10993 arrived broken", "我要客服电话",
        "人工服务时间是几点到几点？", "Can I chat with customer service on Sundays?",
        "地址没写错吧", "换个地址要钱吗",
    ],
)  # fmt: skip
def test_what_is_refused_or_only_asked_about_starts_no_flow(text: str) -> None:
    assert route(text, EVERYTHING) is None


@pytest.mark.parametrize(
    ("text", "flow"),
    [
        ("I don't need it any more please cancel my order", "cancel"),
        ("I do not like it and I want to return my mug", "return"),
        ("能不能帮我取消订单", "cancel"),
        ("这个杯子不喜欢想退货", "return"), ("Has FK-10993 arrived?", "order_status"),
        ("Where is the parcel?", "order_status"), ("I want to talk to a human now", "human"),
        ("请现在帮我转人工", "human"),
    ],
)  # fmt: skip
def test_a_wish_beside_a_not_of_something_else_is_still_one(text: str, flow: str) -> None:
    found = route(text, EVERYTHING)
    assert found is not None, text
    assert found.name == flow


# Addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("12 Oak Road\nCardiff\nCF10 9ZZ", "12 Oak Road, Cardiff, CF10 9ZZ"),
        ("12 Oak Road Cardiff CF10 9ZZ", "12 Oak Road Cardiff CF10 9ZZ"),
        ("Well Street 12, Cardiff CF10 9ZZ", "Well Street 12, Cardiff CF10 9ZZ"),
        ("Well, 12 Oak Road, Cardiff", "12 Oak Road, Cardiff"),
        (f"12 Oak Road, Cardiff, my email is {IMOGEN}", "12 Oak Road, Cardiff"),
        ("2 weeks from now", None), ("it cost me 12 euros in 2024", None),
    ],
)  # fmt: skip
def test_an_address_is_read_as_it_is_written(text: str, address: str | None) -> None:
    assert _address(text) == address


def test_an_address_with_the_e_mail_beside_it_is_stored_without(start: Start) -> None:
    visit = start(
        "Please change the address of my order FK-10993 to 12 Oak Road, Cardiff CF10 9ZZ, my email "
        f"is {IMOGEN}", "yes",
    )  # fmt: skip
    assert visit.order().address == "12 Oak Road, Cardiff CF10 9ZZ, United Kingdom"


def test_where_to_leave_the_parcel_drops_nothing(start: Start) -> None:
    visit = start(f"Change the address of my order FK-10993, {IMOGEN}")
    assert "Shall I send" in visit.say("12 Oak Road, Cardiff, please leave it at the door")


@pytest.mark.parametrize("mail", ["o'brien@example.ie", "a.b+c@example.org"])
def test_an_e_mail_address_is_read_whole(mail: str) -> None:
    assert heard.email(f"it is '{mail}'.") == mail


# Languages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["OK", "thanks", "hi"])
def test_a_word_of_english_is_answered_in_the_conversations_language(
    start: Start, text: str
) -> None:
    said = start("运费多少", language="zh").say(text)
    assert "\u4e00" <= said[0] <= "\u9fff"


@pytest.mark.parametrize("text", ["Where is my order?", "Cancel my order please"])
def test_a_sentence_of_english_on_a_chinese_page_is_answered_in_english(
    start: Start, text: str
) -> None:
    assert start(language="zh").say(text).startswith("Gladly. Please tell me")


# Said at once -----------------------------------------------------------------------------------


def test_a_complaint_that_tells_its_story_is_not_asked_for_it(start: Start) -> None:
    visit = start("I want to complain: my kettle FK-10993 arrived broken and nobody answers")
    [ticket] = visit.store.tickets.queue()
    assert ticket.packet.slots["problem"] == "my kettle FK-10993 arrived broken and nobody answers"
    assert ticket.packet.slots["order"] == "FK-10993"


@pytest.mark.parametrize(
    ("status", "said"), [("shipped", "has not reached you yet"), ("cancelled", "was cancelled")]
)
def test_what_cannot_come_back_is_refused_before_anything_is_asked(
    start: Start, status: str, said: str
) -> None:
    visit = start()
    stands(visit.store, "FK-10993", status, 30)
    assert said in visit.say(RETURN)
    assert visit.memory().running is None


# Stopping ---------------------------------------------------------------------------------------


def test_what_a_flow_did_comes_with_its_memory_in_one_part(start: Start) -> None:
    from app.core.messages import Message
    from app.support.session import Session

    visit = start(CANCEL)
    turns = visit.store.conversations.history(OWNER, visit.talk)
    said = [Message.model_validate({"role": t.role, "content": t.content}) for t in turns]
    session = Session(OWNER, visit.talk, "m", visit.memory(), "en", visit.helpers)
    first = next(iter(visit.chat.turn("yes", said, None, session)))
    assert "is cancelled" in first.text
    assert first.answer is not None
    assert first.answer.intent == "cancel"


# Flows of one's own -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def x(:", "mine.py cannot be read: SyntaxError"),
        ("class Mine:\n    name = 'x'\nFLOW = Mine", "expected FLOW to be an instance of Flow"),
        ("from app.support.flows.cancel_order import FLOW", "there is a flow 'cancel' already"),
    ],
)
def test_a_flow_that_is_none_is_found_out_before_a_customer_comes(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(source)
    monkeypatch.setattr(flows, "__path__", [*flows.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "app.support.flows.mine", raising=False)
    registry.cache_clear()
    try:
        with pytest.raises(InputError, match=said):
            registry()
    finally:
        registry.cache_clear()
        sys.modules.pop("app.support.flows.mine", None)
