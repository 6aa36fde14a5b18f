"""Tickets: one a conversation, who has it, what comes first; nothing is promised uncommitted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.core.desk import Desk, Packet, Said
from app.core.errors import NotFound
from app.core.memory import Memory
from app.store import tickets
from app.store.db import Store, open_store
from app.store.models import Conversation, Ticket, utc_now
from app.store.tickets import Held

OWNER = "visitor:a"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def packet(reason: str = "asked", **rest: object) -> Packet:
    tree = {"reason": reason, "summary": "Wants a person.", "language": "en"} | rest
    return Packet.model_validate(tree)


def handed(store: Store, reason: str = "asked", owner: str = OWNER, **rest: object) -> str:
    desk: Desk = store.tickets
    return desk.hand_over(owner, store.conversations.create(owner, "en"), packet(reason, **rest))


def handled_by(store: Store, ticket: str) -> str | None:
    with store.read() as session:
        found = session.get_one(Conversation, store.tickets.get(ticket).conversation_id)
        return found.handled_by


def test_a_conversation_has_one_ticket_with_the_newest_packet(store: Store) -> None:
    talk = store.conversations.create(OWNER, "en")
    first = store.tickets.hand_over(OWNER, talk, packet("mood"))
    said = [Said(role="user", content="human!")]
    again = store.tickets.hand_over(OWNER, talk, packet("low_confidence", transcript=said))
    assert again == first
    [ticket] = store.tickets.queue()
    assert ticket.packet.transcript == said
    assert ticket.packet.reason == "low_confidence"
    assert ticket.priority == 3  # as urgent as it ever was


def test_a_hand_off_while_an_agent_has_it_leaves_it_with_the_agent(store: Store) -> None:
    talk = store.conversations.create(OWNER, "en")
    ticket = store.tickets.hand_over(OWNER, talk, packet())
    store.tickets.take(ticket, "alex")
    assert store.tickets.hand_over(OWNER, talk, packet("failure")) == ticket
    assert (store.tickets.get(ticket).status, store.tickets.get(ticket).agent) == ("taken", "alex")


def test_after_it_is_closed_the_next_hand_off_is_a_new_ticket(store: Store) -> None:
    talk = store.conversations.create(OWNER, "en")
    first = store.tickets.hand_over(OWNER, talk, packet())
    store.tickets.close(first, "alex")
    assert store.tickets.hand_over(OWNER, talk, packet()) != first
    assert store.tickets.counts() == {"open": 1, "taken": 0, "closed": 1}


def test_somebody_elses_conversation_is_not_handed_over(store: Store) -> None:
    talk = store.conversations.create(OWNER, "en")
    for owner, wanted in (("visitor:b", talk), (OWNER, "none")):
        with pytest.raises(NotFound):
            store.tickets.hand_over(owner, wanted, packet())
    assert store.tickets.queue() == []


def test_many_hand_offs_at_once_make_one_ticket(store: Store) -> None:
    talk = store.conversations.create(OWNER, "en")
    ids: list[str] = []

    def hand() -> None:
        ids.append(store.tickets.hand_over(OWNER, talk, packet()))

    threads = [threading.Thread(target=hand) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


AT_ONCE: dict[str, Callable[[Store, str], object]] = {
    "take": lambda store, ticket: store.tickets.take(ticket, "ada", force=True),
    "release": lambda store, ticket: store.tickets.release(ticket, "alex"),
    "close": lambda store, ticket: store.tickets.close(ticket, "alex"),
    "removal": lambda store, _: store.users.remove("alex"),
    "deletion": lambda store, _: store.owners.erase(OWNER),
}


@pytest.mark.parametrize("other", AT_ONCE)
def test_a_hand_off_and_another_change_of_its_ticket_both_come_through(
    store: Store, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    store.users.add("alex", "agent", "a hash")
    talk = store.conversations.create(OWNER, "en")
    ticket = store.tickets.hand_over(OWNER, talk, packet())
    store.tickets.take(ticket, "alex")
    within, urgency, errors = threading.Event(), tickets.priority, list[BaseException]()

    def slowly(of: Packet) -> int:
        within.set()
        time.sleep(0.2)  # the other one takes what locks it can
        return urgency(of)

    def change() -> None:
        try:
            assert within.wait(10)
            AT_ONCE[other](store, ticket)
        except BaseException as error:
            errors.append(error)

    monkeypatch.setattr(tickets, "priority", slowly)
    thread = threading.Thread(target=change)
    thread.start()
    assert store.tickets.hand_over(OWNER, talk, packet("mood")) == ticket
    thread.join()
    assert errors == []
    status = {"release": "open", "removal": "open", "take": "taken", "close": "closed"}
    if other == "deletion":
        assert sum(store.tickets.counts().values()) == 0
    else:
        assert store.tickets.get(ticket).status == status[other]
        assert handled_by(store, ticket) == ("ada" if other == "take" else None)


def test_many_changes_of_one_ticket_at_once_all_come_through(store: Store) -> None:
    talk = store.conversations.create(OWNER, "en")
    ticket = store.tickets.hand_over(OWNER, talk, packet())
    errors: list[BaseException] = []

    def often(*calls: Callable[[], object]) -> None:
        for call in calls * 15:
            try:
                call()
            except BaseException as error:
                errors.append(error)

    desk = store.tickets
    work = (
        (lambda: desk.hand_over(OWNER, talk, packet()),),
        (lambda: desk.take(ticket, "alex"), lambda: desk.release(ticket, "alex")),
    )
    threads = [threading.Thread(target=often, args=calls) for calls in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert desk.counts() == {"open": 1, "taken": 0, "closed": 0}


def test_the_most_urgent_comes_first_then_who_waits_longest(store: Store) -> None:
    declined = handed(store, "low_confidence")
    late, early = handed(store), handed(store)
    angry = handed(store, "asked", moods=[0.2, -0.9])
    failed = handed(store, "failure")
    with store.write() as session:
        session.get_one(Ticket, early).created = utc_now() - timedelta(hours=1)
        session.get_one(Ticket, failed).created = utc_now() - timedelta(minutes=1)
    assert [t.id for t in store.tickets.queue()] == [failed, angry, early, late, declined]
    store.tickets.take(early, "alex")
    store.tickets.close(declined, "alex")
    assert [t.id for t in store.tickets.queue()] == [failed, angry, early, late]


def test_who_takes_a_ticket_answers_until_it_is_handed_back(store: Store) -> None:
    ticket = handed(store)
    assert store.tickets.take(ticket, "alex").agent == "alex"
    assert store.tickets.take(ticket, "alex").status == "taken"
    assert handled_by(store, ticket) == "alex"
    back = store.tickets.release(ticket, "alex")
    assert (back.status, back.agent, handled_by(store, ticket)) == ("open", None, None)


def test_a_second_agent_is_told_who_has_it(store: Store) -> None:
    ticket = handed(store)
    store.tickets.take(ticket, "alex")
    for call in (store.tickets.take, store.tickets.release, store.tickets.close):
        with pytest.raises(Held, match="alex has this ticket") as told:
            call(ticket, "bea")
        assert "alex 正在处理" in told.value.zh
    assert handled_by(store, ticket) == "alex"


def test_an_admin_takes_hands_back_and_closes_what_another_has(store: Store) -> None:
    ticket = handed(store)
    store.tickets.take(ticket, "alex")
    assert store.tickets.take(ticket, "ada", force=True).agent == "ada"
    assert handled_by(store, ticket) == "ada"
    with pytest.raises(Held, match="ada has this ticket"):
        store.tickets.release(ticket, "alex")
    store.tickets.release(ticket, "ada")
    store.tickets.take(ticket, "alex")
    assert store.tickets.release(ticket, "ada", force=True).status == "open"
    assert handled_by(store, ticket) is None
    store.tickets.take(ticket, "alex")
    done = store.tickets.close(ticket, "ada", force=True)
    assert (done.status, done.agent, handled_by(store, ticket)) == ("closed", "ada", None)
    for call in (store.tickets.take, store.tickets.release, store.tickets.close):
        with pytest.raises(Held, match="closed"):
            call(ticket, "ada", force=True)


def test_what_a_removed_agent_had_is_back_in_the_queue(store: Store) -> None:
    for name in ("alex", "bea"):
        store.users.add(name, "agent", "a hash")
    left, others, done = handed(store), handed(store), handed(store)
    store.tickets.take(left, "alex")
    store.tickets.take(others, "bea")
    store.tickets.close(done, "alex")
    before = store.tickets.get(left).updated
    store.users.remove(" Alex ")
    freed = store.tickets.get(left)
    assert (freed.status, freed.agent, handled_by(store, left)) == ("open", None, None)
    assert freed.updated > before  # so that every open Desk is drawn anew
    assert (store.tickets.get(others).agent, handled_by(store, others)) == ("bea", "bea")
    assert (store.tickets.get(done).status, store.tickets.get(done).agent) == ("closed", "alex")
    assert store.tickets.take(left, "bea").agent == "bea"


def test_what_is_closed_or_gone_cannot_be_taken(store: Store) -> None:
    ticket = handed(store)
    with pytest.raises(Held, match="take this ticket over first"):
        store.tickets.release(ticket, "alex")
    store.tickets.close(ticket, "alex")
    with pytest.raises(Held, match="closed"):
        store.tickets.take(ticket, "alex")
    with pytest.raises(NotFound, match="no such ticket"):
        store.tickets.take("none", "alex")


def test_closing_lets_the_bot_answer_and_begin_anew(store: Store) -> None:
    ticket = handed(store)
    talk = store.tickets.get(ticket).conversation_id
    with store.write() as session:
        session.get_one(Conversation, talk).memory = {
            "ticket": ticket, "declined": 3, "moods": [-1.0], "intent": "human",
        }  # fmt: skip
    store.tickets.take(ticket, "alex")
    store.tickets.close(ticket, "alex")
    with store.read() as session:
        found = session.get_one(Conversation, talk)
        assert found.handled_by is None
        assert found.memory == {"ticket": None, "declined": 0, "moods": [], "intent": "human"}
    assert store.tickets.of(str(talk)) is None


def test_what_a_turn_knew_of_a_ticket_closed_meanwhile_is_forgotten(store: Store) -> None:
    ticket = handed(store)
    talk = str(store.tickets.get(ticket).conversation_id)
    knew = Memory(ticket=ticket, declined=3, moods=[-1.0], intent="human")
    store.conversations.append(OWNER, talk, "assistant", "A person will see to it.", memory=knew)
    assert store.conversations.state(OWNER, talk).memory == knew
    store.tickets.close(ticket, "alex")
    store.conversations.append(OWNER, talk, "assistant", "By the way:", memory=knew)
    assert store.conversations.state(OWNER, talk).memory == Memory(intent="human")


def test_closing_keeps_what_a_turn_learnt_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = handed(store)
    talk = str(store.tickets.get(ticket).conversation_id)
    knew = Memory(ticket=ticket, intent="return")
    learnt = Memory(ticket=ticket, intent="order_status", identified={"FK-10001": "a@b.example"})
    store.conversations.append(OWNER, talk, "assistant", "Noted.", memory=knew)
    handled = tickets._handled

    def turn() -> None:
        store.conversations.append(OWNER, talk, "assistant", "It left.", memory=learnt)

    other = threading.Thread(target=turn)

    def slowly(*of: Any) -> Conversation | None:
        found = handled(*of)
        other.start()
        other.join(0.3)  # it is through, or waits for us
        return found

    monkeypatch.setattr(tickets, "_handled", slowly)
    store.tickets.close(ticket, "alex")
    other.join()
    known = store.conversations.state(OWNER, talk).memory
    assert known == learnt.model_copy(update={"ticket": None})


def test_a_ticket_goes_with_its_conversation(store: Store) -> None:
    ticket = handed(store)
    with store.write() as session:
        talk = session.get_one(Conversation, store.tickets.get(ticket).conversation_id)
        session.delete(talk)
    assert store.tickets.queue() == []
