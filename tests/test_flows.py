"""Flows turn by turn, over the demo shop's own rules: nothing guessed, nothing done twice."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.data import corpus
from app.core.desk import Desk, Packet
from app.core.errors import AppError
from app.core.files import ROOT
from app.core.memory import Memory, Running
from app.models.encoder import HashEncoder
from app.recommend.shop import Shop as RealShop
from app.recommend.system import fitted
from app.store.db import Store
from app.store.models import Order, Return, Ticket, Write, utc_now
from app.support import handoff
from app.support.answer import UPSET
from app.support.chat import SupportChat
from app.support.flows import heard
from app.support.flows.base import Tools
from app.support.flows.route import registry, route
from tests.helpers_flows import (
    EVERYTHING,
    IMOGEN,
    OWNER,
    Visit,
    chat,
    module_store,
    store,
    visit,
)

__all__ = ["chat", "module_store", "store", "visit"]

EXAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "utterances.jsonl")
    .read_text("utf-8")
    .splitlines()
]


# What is heard ----------------------------------------------------------------------------------


FULL_WIDTH = "".join(chr(ord(c) + 0xFEE0) for c in "FK-10924")


@pytest.mark.parametrize(
    "text",
    ["FK-10924", "fk10924", "FK 10924", "fk\u201310924.", "Order #FK-10924, please", FULL_WIDTH,
     "订单FK-10924到哪儿了", "I want to return from FK-10924 2 tins", "FK-10924 3 x the decaf",
     "FK-10924 2个都要退"],
)  # fmt: skip
def test_an_order_number_is_taken_as_it_was_meant(text: str) -> None:
    assert heard.orders(text) == ["FK-10924"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("fk-1o924", "FK-10924"),
        ("FK-1994", ""),
        ("it's FK 10 949 4", ""),
        ("FK-109249", ""),
        ("FK-10924 9 is my order", ""),
        ("FK-10924 9 thanks", ""),
        ("FK-10924 90210", ""),
    ],
)
def test_a_mistyped_number_is_asked_for_again_and_never_used(text: str, meant: str) -> None:
    assert heard.orders(text) == []
    assert heard.nearly(text) == meant


def test_bare_digits_are_a_number_only_where_one_was_asked_for() -> None:
    assert heard.orders("10924") == []
    assert heard.orders("10924", bare=True) == ["FK-10924"]
    assert heard.orders("not FK-10924 but FK-10993") == ["FK-10993"]


@given(st.from_regex(r"[0-9]{5}", fullmatch=True), st.sampled_from(["FK-", "fk", "Fk ", "FK#"]))
def test_every_number_of_five_digits_is_read_back_as_itself(digits: str, prefix: str) -> None:
    assert heard.orders(f"it is {prefix}{digits}, thanks") == [f"FK-{digits}"]


@given(st.from_regex(r"[0-9]{1,12}", fullmatch=True), st.text(max_size=20))
def test_no_other_number_becomes_an_order(digits: str, noise: str) -> None:
    found = heard.orders(f"FK-{digits}")
    assert found == ([f"FK-{digits}"] if len(digits) == 5 else [])
    assert all(f"{n[3:]}" in heard.plain(noise) for n in heard.orders(noise))


def test_a_number_and_an_address_have_no_language() -> None:
    assert heard.language("FK-10924, a.b@example.org", "zh") == "zh"
    assert heard.language("Fern Stoneware Mug", "zh") == "zh"
    assert heard.language("我要退货", "en") == "zh"
    assert heard.language("Where has my order been all this time?", "zh") == "en"


# What starts a flow -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row["text"][:40])
def test_an_utterance_starts_its_flow_and_a_question_none(row: dict[str, str]) -> None:
    flow = route(row["text"], EVERYTHING)
    assert (flow.name if flow else "question") == row["intent"]


def test_questions_for_the_articles_start_no_flow() -> None:
    asked = [q.text for q in corpus("demo:support").queries if q.split in ("train", "dev")]
    assert len(asked) > 200
    assert [text for text in asked if route(text, EVERYTHING)] == []


@pytest.mark.parametrize(
    "text",
    [
        "And do I have to send the broken pieces back to you?!", "Must I return the box as well?",
        "Do we need to cancel the order for that?", "坏了的壶还要寄回去吗", "退货必须用原箱吗？",
    ],
)  # fmt: skip
def test_whether_something_must_be_done_is_for_the_articles(text: str) -> None:
    assert route(text, EVERYTHING) is None


def test_a_wish_is_no_such_question() -> None:
    flow = route("I need to return a mug", EVERYTHING)
    assert flow is not None
    assert flow.name == "return"


def test_a_flow_whose_tool_is_missing_does_not_start() -> None:
    assert route("Where is my order?", Tools()) is None
    assert route("Recommend me a coffee", Tools()) is None


def test_every_flow_has_both_languages() -> None:
    for flow in registry().values():
        assert all(flow.title)
        assert all(len(pair) == 2 for pair in flow.refusals.values())


# Flows ------------------------------------------------------------------------------------------


def test_nothing_is_told_of_an_order_without_its_address(visit: Visit) -> None:
    assert "e-mail" in visit.say("Where is order FK-10993?")
    said = visit.say("somebody@example.org")
    assert "cannot find" in said
    assert "placed" not in said
    assert "has been placed" in visit.say(IMOGEN)
    assert visit.memory().identified == {"FK-10993": IMOGEN}


def test_a_cancellation_is_confirmed_and_done_once(visit: Visit) -> None:
    assert "order number" in visit.say("I want to cancel my order")
    assert visit.say(f"fk10993, {IMOGEN}").startswith("Shall I cancel order FK-10993")
    assert visit.order().status == "placed"
    assert "is cancelled" in visit.say("Yes, please.")
    assert (visit.order().status, visit.count(Write)) == ("cancelled", 1)
    assert "already" in visit.say("cancel FK-10993 please")
    assert visit.count(Write) == 1


def test_a_kill_between_the_change_and_its_answer_makes_no_second_change(
    visit: Visit, store: Store
) -> None:
    with store.write() as session:
        session.get_one(Order, "FK-10993").status = "delivered"
    visit.say(f"I want to return something from FK-10993, {IMOGEN}")
    visit.say("the decaf")
    assert "Shall I register" in visit.say("no reason")
    assert "is registered" in visit.say("yes", lost=True)
    assert visit.count(Return) == 1
    assert "is registered" in visit.say("yes")
    assert (visit.count(Return), visit.count(Write)) == (1, 1)


# After a return ---------------------------------------------------------------------------------

COFFEES: list[dict[str, Any]] = [
    {"item": item, "title": title, "price": price, "category": category, "stock": stock}
    for item, title, price, category, stock in (
        ("low-tide-decaf", "Low Tide Decaf", 12.5, "Coffee", 9),
        ("harbour", "Harbour Blend", 11.9, "Coffee", 9),
        ("gannet", "Gannet Roast", 19.0, "Coffee", 9),
        ("cove", "Cove Roast", 12.0, "Coffee", 9),
        ("sold-out", "Sold Out Roast", 12.0, "Coffee", 0),
        ("pearls", "Jasmine Pearls", 12.5, "Tea", 9),
    )
]


def stocked(rows: list[dict[str, Any]]) -> RealShop:
    bought = [{"user": "a", "item": row["item"], "timestamp": n} for n, row in enumerate(rows)]
    return fitted("popular", HashEncoder(), bought, rows)


def returned(visit: Visit, shop: Any) -> str:
    """What is said once the decaf comes back."""
    with visit.store.write() as session:
        session.get_one(Order, "FK-10993").status = "delivered"
    visit.helpers = visit.helpers._replace(shop=shop)
    if visit.language == "zh":
        said = f"我要退货，订单 FK-10993，邮箱 {IMOGEN}", "低因咖啡", "不说明", "是的"
    else:
        said = f"I want to return something from FK-10993, {IMOGEN}", "the decaf", "none", "yes"
    return [visit.say(text) for text in said][-1]


def test_the_only_item_of_an_order_is_named_before_it_is_taken(visit: Visit) -> None:
    with visit.store.write() as session:
        order = session.get_one(Order, "FK-10978")
        order.status, order.ordered = "delivered", utc_now() - timedelta(hours=200)
    visit.say("I want to return my mug")
    visit.say("FK-10978")
    asked = visit.say("tessa.wren@example.com")
    assert asked.startswith("About Rope Works Espresso: what is the reason?")


def proposed(answer: str) -> list[str]:
    return [line for line in answer.splitlines() if line.startswith("•")]


@pytest.fixture
def chinese(chat: SupportChat, store: Store) -> Visit:
    return Visit(chat, store, "zh")


def test_after_a_return_two_like_products_are_proposed_with_their_reason(visit: Visit) -> None:
    shop = stocked(COFFEES)
    answer = returned(visit, lambda: shop)
    assert "is registered" in answer
    found = proposed(answer)
    assert len(found) == 2
    prices = {row["title"]: f"€{row['price']:.2f}" for row in COFFEES}
    for line in found:
        title = line.removeprefix("• ").partition(",")[0]
        assert title in {"Harbour Blend", "Gannet Roast", "Cove Roast"}
        assert re.findall(r"€[\d.]+", line) == [prices[title]]
        assert "(from the same shelf (Coffee), in stock, " in line


def test_after_a_return_in_chinese_the_reasons_are_chinese(chinese: Visit) -> None:
    shop = stocked(COFFEES)
    answer = returned(chinese, lambda: shop)
    assert "退货已经登记" in answer
    assert "如果想换一件别的" in answer
    assert all("，有货，价格" in line for line in proposed(answer))
    assert len(proposed(answer)) == 2


def test_where_nothing_is_sensible_nothing_is_proposed(visit: Visit) -> None:
    other_shelf_or_sold_out = stocked([COFFEES[0], *COFFEES[4:]])
    answer = returned(visit, lambda: other_shelf_or_sold_out)
    assert "is registered" in answer
    assert "instead" not in answer
    assert proposed(answer) == []


def test_what_is_in_the_order_is_not_proposed(visit: Visit) -> None:
    order = visit.store.commerce.find("FK-10993", IMOGEN)
    assert order is not None
    others = [line.product for line in order.lines if line.product != "low-tide-decaf"]
    assert others
    shop = stocked([COFFEES[0], *({**COFFEES[1], "item": i, "title": i} for i in others)])
    assert proposed(returned(visit, lambda: shop)) == []


def test_a_recommender_that_breaks_hides_no_return(visit: Visit) -> None:
    def broken() -> Any:
        raise RuntimeError("no catalogue")

    answer = returned(visit, broken)
    assert "is registered" in answer
    assert "instead" not in answer
    assert visit.count(Return) == 1


# A desk that fails ------------------------------------------------------------------------------


class DeadDesk:
    """Raises what no seam promises."""

    def hand_over(self, owner: str, conversation_id: str, packet: Packet) -> str:
        del owner, conversation_id, packet
        raise RuntimeError("no connection")


@pytest.mark.parametrize("desk", [DeadDesk(), None], ids=["fails", "none"])
@pytest.mark.parametrize(("language", "asks"), [("en", "Talk to a human"), ("zh", "转人工")])
def test_a_desk_that_fails_promises_nobody_and_the_flow_stays_open(
    visit: Visit, desk: Desk | None, language: str, asks: str
) -> None:
    visit.helpers = visit.helpers._replace(desk=desk)
    visit.say("I want to return something")
    answer = visit.say(asks)
    assert answer.endswith(handoff.unreached(language))
    assert handoff.handed(language) not in answer
    assert visit.last is not None
    assert visit.last.handoff is None
    memory = visit.memory()
    assert memory.ticket is None
    assert memory.running is not None
    assert memory.running.flow == "return"
    assert visit.count(Ticket) == 0


def test_what_is_corrected_after_the_question_is_asked_anew_with_another_key(visit: Visit) -> None:
    visit.say(f"Change the address of my order FK-10993, my e-mail is {IMOGEN}")
    visit.say("To 12 Kettle Row, Cardiff CF10 9ZZ, United Kingdom, please.")
    before = visit.memory().running
    said = visit.say("No, sorry, 14 Kettle Row, Cardiff CF10 9ZZ, United Kingdom, not 12.")
    after = visit.memory().running
    assert "to this address: 14 Kettle Row" in said
    assert before is not None
    assert after is not None
    assert before.key != after.key
    assert "14 Kettle Row" in visit.say("yes")
    assert visit.order().address.startswith("14 Kettle Row, Cardiff CF10 9ZZ")


def test_another_country_is_refused_by_the_shop_with_its_article(visit: Visit) -> None:
    visit.say(f"Change the address of my order FK-10993, {IMOGEN}")
    visit.say("73 quai des Fougères, 69002 Lyon, France")
    assert "country" in visit.say("yes")
    assert visit.last is not None
    assert [c.id for c in visit.last.citations] == ["change-address"]
    assert visit.order().address.startswith("11 Kettle Row")


def test_no_and_never_mind_change_nothing(visit: Visit) -> None:
    visit.say(f"cancel order FK-10993, {IMOGEN}")
    assert "stays as it is" in visit.say("Hm, no. Leave it as it is.")
    assert "FK-10993" in visit.say("Cancel my order please")
    visit.say("No, the other order")
    assert "leave it" in visit.say("Never mind.")
    assert visit.memory().running is None
    assert visit.count(Write) == 0


def test_the_other_order_is_asked_for(visit: Visit) -> None:
    visit.say(f"cancel order FK-10993, {IMOGEN}")
    assert "order number" in visit.say("No, the other order")
    assert "cannot find" in visit.say("I meant FK-10994")
    assert visit.count(Write) == 0


def test_a_question_in_between_is_answered_and_the_flow_taken_up_again(visit: Visit) -> None:
    visit.say("I want to cancel my order")
    said = visit.say("How many hours should I leave the cold brew in the fridge?")
    assert "14 hours" in said
    assert "still open" in said
    assert "order number" in visit.say("ok, go on")
    assert "Shall I cancel" in visit.say(f"FK-10993 {IMOGEN}")


def test_another_flow_interrupts_and_the_first_comes_back(visit: Visit) -> None:
    visit.say("I want to cancel my order")
    said = visit.say(f"Where is my order FK-10993? I am {IMOGEN}")
    assert "has been placed" in said
    assert "cancellation is still open" in said
    assert "Shall I cancel" in visit.say(f"go on with FK-10993, {IMOGEN}")


def test_what_a_flow_said_is_said_again(visit: Visit) -> None:
    first = visit.say("Where is my order?")
    assert visit.say("Could you repeat that?") == first


def test_a_complaint_is_handed_over_with_what_happened(visit: Visit, store: Store) -> None:
    assert "What happened?" in visit.say("I want to make a complaint")
    visit.say("The courier threw the parcel over the fence.")
    assert "person" in visit.say("FK-10993")
    [ticket] = store.tickets.queue()
    assert ticket.packet.reason == "complaint"
    assert ticket.packet.slots["problem"].startswith("The courier")
    assert visit.last is not None
    assert visit.last.handoff == ticket.id
    assert visit.memory().running is None


def test_a_person_is_called_at_once_also_in_the_middle_of_a_flow(
    visit: Visit, store: Store
) -> None:
    visit.say("I want to cancel my order")
    visit.say("I want to talk to a human")
    [ticket] = store.tickets.queue()
    assert (ticket.packet.reason, ticket.packet.intent) == ("asked", "cancel")
    assert ticket.packet.transcript[-1].content == "I want to talk to a human"


def test_two_declines_offer_a_person_and_a_yes_takes_it(visit: Visit) -> None:
    visit.say("Who won the football yesterday evening?")
    assert "Shall I pass this on" in visit.say("Can you help me with my maths homework?")
    assert visit.count(Ticket) == 0
    assert "person" in visit.say("yes")
    assert visit.count(Ticket) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "What a useless shop. I hate this, you are terrible.",
            "I am sorry about that. Tell me in a sentence what went wrong",
        ),
        ("你们太差劲了，垃圾，气死我了", "很抱歉让您有这样的体验"),
    ],
)
def test_who_is_upset_and_asks_nothing_is_not_told_that_nothing_was_found(
    visit: Visit, text: str, said: str
) -> None:
    visit.helpers = visit.helpers._replace(mood=lambda _: -0.8)
    assert said in visit.say(text)
    assert visit.last is not None
    assert not visit.last.declined
    assert UPSET in visit.last.notes
    assert visit.last.quick in (["Talk to a human"], ["转人工"])
    assert visit.memory().declined == 0


def test_who_is_upset_and_asks_is_answered_or_declined(visit: Visit) -> None:
    visit.helpers = visit.helpers._replace(mood=lambda _: -0.8)
    asked = "Your shop is terrible. How many hours should I leave the cold brew in the fridge?"
    assert "14 hours" in visit.say(asked)
    visit.say("Who won the football yesterday evening, for heaven's sake?")
    assert visit.last is not None
    assert visit.last.declined


def test_a_desk_that_fails_promises_nobody(visit: Visit) -> None:
    class Broken:
        def hand_over(self, *_: Any) -> str:
            raise RuntimeError("no desk")

    visit.helpers = visit.helpers._replace(desk=Broken())
    assert "could not reach" in visit.say("human please")
    assert visit.memory().ticket is None


def test_a_shop_that_does_not_answer_is_told_and_handed_over(visit: Visit) -> None:
    class Down:
        def find(self, *_: str) -> None:
            raise AppError("down")

    visit.helpers = visit.helpers._replace(commerce=Down())  # type: ignore[arg-type]
    said = visit.say(f"cancel order FK-10993, {IMOGEN}")
    assert "does not answer" in said
    assert visit.count(Ticket) == 1


def test_a_chinese_customer_is_served_in_chinese(chat: SupportChat, store: Store) -> None:
    visit = Visit(chat, store, "zh")
    assert "订单号" in visit.say("请取消我的订单")
    assert "取消订单 FK-10993 吗" in visit.say(f"FK-10993，{IMOGEN}")
    assert "已经取消" in visit.say("好的，请办理。")
    assert visit.order().status == "cancelled"
    assert "人工" in visit.say("转人工")


def test_memory_survives_the_database(visit: Visit) -> None:
    memory = Memory(
        running=Running(flow="cancel", key="k", slots={"order": "FK-10993"}, asks="email", tries=2),
        paused=[Running(flow="return", key="r")], identified={"FK-10993": IMOGEN}, moods=[-0.5],
        declined=1, ticket="t", intent="cancel",
    )  # fmt: skip
    visit.store.conversations.append(OWNER, visit.talk, "assistant", "hm", memory=memory)
    assert visit.memory() == memory


def test_a_flow_that_is_gone_is_forgotten(visit: Visit) -> None:
    gone = Memory(running=Running(flow="abolished", key="k"))
    visit.store.conversations.append(OWNER, visit.talk, "assistant", "hm", memory=gone)
    assert "14 hours" in visit.say("How many hours should I leave the cold brew in the fridge?")
    assert visit.memory().running is None


def test_the_flow_of_the_readme_runs(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "app" / "support" / "flows" / "README.md").read_text("utf-8")
    made: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], made)
    flows = {**registry(), "in_stock": made["FLOW"]}
    monkeypatch.setattr("app.support.flows.route.registry", lambda: flows)
    monkeypatch.setattr("app.support.flows.engine.registry", lambda: flows)
    assert visit.say("Is that in stock?") == "Which product?"
    assert visit.say("Low Tide Decaf") == "130 left."
