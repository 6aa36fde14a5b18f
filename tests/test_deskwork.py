"""Work at the desk: for agents alone, delivered or said honestly, in the same conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core import brief
from app.core.desk import Packet
from app.core.errors import InputError, TooLarge
from app.core.memory import Memory, Running
from app.models.encoder import HashEncoder
from app.recommend.shop import Shop
from app.recommend.system import fitted
from app.services import Services
from app.serving.accounts import Account, NotAllowed
from app.serving.deskwork import NotDelivered
from app.store.tickets import Held
from app.support import handoff
from app.support.flows import return_item
from app.support.replacements import propose
from tests.helpers_server import Fakes, make_services

ALEX, BEA = Account("agent", "alex"), Account("admin", "bea")
OWNER = "visitor:a"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = make_services(Fakes(), database_url=f"sqlite:///{tmp_path / 'test.db'}", secret="s")
    yield made
    made.stop()
    made.store.close()


def packet(**rest: Any) -> Packet:
    return handoff.packet("asked", "en", Memory()).model_copy(update=rest)


def handed(services: Services, **rest: Any) -> tuple[str, str]:
    """(conversation, ticket)."""
    talk = services.store.conversations.create(OWNER, "en")
    return talk, services.desk.hand_over(OWNER, talk, packet(**rest))


def counted(services: Services, name: str, reason: str = "asked") -> float:
    return services.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0


# Delivery ----------------------------------------------------------------------------------------


def test_a_hand_off_of_an_empty_conversation_is_committed_and_counted(services: Services) -> None:
    talk = services.store.conversations.create(OWNER, "en")
    delivered = handoff.deliver(services.desk, OWNER, talk, packet())
    assert delivered.ticket is not None
    assert services.store.tickets.get(delivered.ticket).packet.transcript == []
    assert "passed this on to a person" in delivered.sentence
    assert handoff.deliver(services.desk, OWNER, talk, packet()).ticket == delivered.ticket
    assert counted(services, "frontdesk_handoffs_total") == 1
    assert b'frontdesk_handoffs_total{reason="asked"} 1.0' in services.metrics.text()


@pytest.mark.parametrize(("language", "words"), [("en", "could not reach"), ("zh", "没能联系上")])
def test_where_the_desk_fails_nobody_is_promised(
    services: Services, monkeypatch: pytest.MonkeyPatch, language: str, words: str
) -> None:
    talk = services.store.conversations.create(OWNER, language)

    def broken(*_: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(services.store.tickets, "hand_over", broken)
    delivered = handoff.deliver(services.desk, OWNER, talk, packet(language=language))
    assert delivered.ticket is None
    assert words in delivered.sentence
    assert brief.current().contact in delivered.sentence
    assert "passed this on" not in delivered.sentence
    assert counted(services, "frontdesk_handoffs_failed_total") == 1
    assert counted(services, "frontdesk_handoffs_total") == 0


def test_somebody_elses_conversation_is_not_delivered(services: Services) -> None:
    talk = services.store.conversations.create(OWNER, "en")
    with pytest.raises(NotDelivered):
        services.desk.hand_over("visitor:b", talk, packet())


# Roles -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "account", [Account("customer"), Account("customer", "cas"), Account("agent", None)]
)
def test_every_call_is_for_agents(services: Services, account: Account) -> None:
    _, ticket = handed(services)
    desk = services.desk
    calls: list[Any] = [
        lambda: desk.queue(account), lambda: desk.open(account, ticket),
        lambda: desk.take(account, ticket), lambda: desk.release(account, ticket),
        lambda: desk.close(account, ticket), lambda: desk.say(account, ticket, "hello"),
        lambda: desk.declined(account, 30), lambda: desk.answers(account),
        lambda: desk.write(account, "q", "a"), lambda: desk.delete(account, "x"),
    ]  # fmt: skip
    public = [name for name in dir(desk) if not name.startswith("_") and name != "hand_over"]
    assert len(calls) == len(public)
    for call in calls:
        with pytest.raises(NotAllowed):
            call()


# In the conversation -----------------------------------------------------------------------------


def test_an_agent_answers_in_the_same_conversation(services: Services) -> None:
    talk, ticket = handed(services)
    desk = services.desk
    with pytest.raises(Held, match="take this ticket over first"):
        desk.say(ALEX, ticket, "Hello")
    desk.take(ALEX, ticket)
    with pytest.raises(Held, match="alex has this ticket"):
        desk.say(BEA, ticket, "Hello")
    desk.say(ALEX, ticket, "  Hello, alex here.\nHow can I help? ")
    [turn] = services.store.conversations.history(OWNER, talk)
    assert (turn.role, turn.author) == ("assistant", "alex")
    assert turn.content == "Hello, alex here.\nHow can I help?"
    assert desk.open(BEA, ticket).turns == [turn]


def test_the_bot_is_silent_while_an_agent_has_it_but_for_one_notice(services: Services) -> None:
    talk, ticket = handed(services)
    services.desk.take(ALEX, ticket)
    *_, notice = services.chat(OWNER, "Hello?", conversation_id=talk)
    assert notice.answer is not None
    assert "A person at the shop" in notice.answer.text
    parts = list(services.chat(OWNER, "Are you there?", conversation_id=talk))
    assert parts[-1].answer is not None
    assert (parts[-1].answer.text, parts[-1].answer.notes) == ("", ["left to alex"])
    said = [(t.role, t.content) for t in services.store.conversations.history(OWNER, talk)]
    assert said == [
        ("user", "Hello?"), ("assistant", notice.answer.text), ("user", "Are you there?"),
    ]  # fmt: skip
    services.desk.release(ALEX, ticket)
    list(services.chat(OWNER, "Hello bot", conversation_id=talk))
    last = services.store.conversations.history(OWNER, talk)[-1]
    assert (last.role, last.content, last.author) == ("assistant", "Hello bot ", None)


def test_an_admin_gets_past_an_agent_who_left_and_an_agent_does_not(services: Services) -> None:
    cas = Account("agent", "cas")
    for act in (services.desk.take, services.desk.release, services.desk.close):
        talk, ticket = handed(services)
        services.desk.take(ALEX, ticket)
        with pytest.raises(Held, match="alex has this ticket"):
            act(cas, ticket)
        act(BEA, ticket)
        assert services.store.conversations.state(OWNER, talk).handled_by in ("bea", None)


def test_the_bot_answers_again_once_its_agent_is_removed(services: Services) -> None:
    services.store.users.add("alex", "agent", "a hash")
    talk, ticket = handed(services)
    services.desk.take(ALEX, ticket)
    services.store.users.remove("alex")
    *_, last = services.chat(OWNER, "Hello bot", conversation_id=talk)
    assert last.answer is not None
    assert last.answer.text == "Hello bot "


@pytest.mark.parametrize(("text", "error"), [("  \n ", InputError), ("x" * 4001, TooLarge)])
def test_what_an_agent_says_is_bounded(
    services: Services, text: str, error: type[Exception]
) -> None:
    _, ticket = handed(services)
    services.desk.take(ALEX, ticket)
    with pytest.raises(error):
        services.desk.say(ALEX, ticket, text)
    with pytest.raises(error):
        services.desk.write(ALEX, text, "answer")


def test_a_written_answer_has_its_questions_language_and_its_author(services: Services) -> None:
    row = services.desk.write(ALEX, "能寄到挪威吗？", "可以。")
    assert (row.language, row.author) == ("zh", "alex")
    edited = services.desk.write(BEA, "能寄到挪威吗？", "不可以。", row.id)
    assert services.desk.answers(ALEX) == [edited]
    services.desk.delete(ALEX, row.id)
    assert services.desk.answers(ALEX) == []


# Replacements ------------------------------------------------------------------------------------

ITEMS: list[dict[str, Any]] = [
    {"item": "heron", "title": "Heron Kettle", "price": 119.0, "category": "Brewing Gear",
     "stock": 2},
    {"item": "wren", "title": "Wren Kettle", "price": 89.0, "category": "Brewing Gear", "stock": 5},
    {"item": "crane", "title": "Crane Kettle", "price": 115.0, "category": "Brewing Gear",
     "stock": 1},
    {"item": "gone", "title": "Gone Kettle", "price": 80.0, "category": "Brewing Gear", "stock": 0},
    {"item": "filters", "title": "Paper Filters", "price": 4.9, "category": "Brewing Gear",
     "stock": 50},
    {"item": "mug", "title": "Mug", "price": 18.5, "category": "Cups & Tableware", "stock": 2},
]  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Shop:
    rows = [
        {"user": user, "item": item, "timestamp": at}
        for user, items in (("a", ["heron", "wren", "mug"]), ("b", ["wren", "crane", "heron"]))
        for at, item in enumerate(items)
    ]  # fmt: skip
    return fitted("popular", HashEncoder(), rows, ITEMS)


def test_a_returned_product_is_replaced_from_its_shelf_with_true_reasons(shop: Shop) -> None:
    found = {r.id: r.reason for r in propose(shop, "heron kettle")}
    assert found.keys() == {"wren", "crane"}
    assert found["wren"] == "from the same shelf (Brewing Gear), in stock, costs less"
    assert found["crane"].endswith("(Brewing Gear), in stock, about the same price")
    dearer = {r.id: r.reason for r in propose(shop, "wren", "zh")}
    assert dearer["heron"].endswith("，有货，价格更高")


def test_an_unknown_product_has_no_replacement(shop: Shop) -> None:
    assert propose(shop, "Toaster") == []
    assert propose(shop, "mug") == []


def test_the_desk_shows_replacements_for_returns_alone(
    services: Services, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.desk, "_shop", lambda: shop)
    _, back = handed(services, intent="return", slots={"item": "Heron Kettle"})
    assert len(services.desk.open(ALEX, back).replacements) == 2
    _, other = handed(services, intent="order_status", slots={"item": "Heron Kettle"})
    assert services.desk.open(ALEX, other).replacements == []


def test_a_return_that_is_handed_over_half_way_has_replacements(
    services: Services, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.desk, "_shop", lambda: shop)
    slots = {"order": "FK-1", "email": "a@b.example", "item": "heron"}
    running = Running(flow=return_item.FLOW.name, key="k", slots=slots)
    made = handoff.packet("asked", "en", Memory(running=running))
    talk = services.store.conversations.create(OWNER, "en")
    ticket = services.desk.hand_over(OWNER, talk, made)
    assert {r.id for r in services.desk.open(ALEX, ticket).replacements} == {"wren", "crane"}
