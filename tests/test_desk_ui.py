"""The Desk tab: for agents alone, whatever the browser asks for; what customers see of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.desk import Packet, Said
from app.core.memory import Memory, Running
from app.services import Services
from app.serving.accounts import COOKIE, _digest
from app.serving.deskwork import Opened
from app.store.models import utc_now
from app.store.rows import Turn
from app.support import handoff
from app.support.replacements import Replacement
from app.ui import desk_answers, desk_tickets
from app.ui.build import Page
from tests.helpers_ui import EVIL, made, services, toasts

__all__ = ["toasts"]
NOW = utc_now()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services with ada (admin), alex and bea (agents) and cas (customer)."""
    database = tmp_path_factory.mktemp("desk") / "desk.db"
    ready = services(database_url=f"sqlite:///{database}", secret="s")
    users = {"ada": "admin", "alex": "agent", "bea": "agent", "cas": "customer"}
    for name, role in users.items():
        ready.store.users.add(name, role, "a hash")
    ready.load()
    yield ready
    ready.stop()
    ready.store.close()


@pytest.fixture(scope="module")
def ui(desk: Services) -> Page:
    return made(desk)


def asking(desk: Services, name: str | None) -> Any:
    """A request of somebody who is logged in, or of a visitor."""
    cookies = {"frontdesk_visitor": desk.visitors.issue()[1]}
    if name:
        token = f"token of {name}"
        desk.store.users.end(_digest(token))
        desk.store.users.begin(name, _digest(token), utc_now() + timedelta(hours=1))
        cookies[COOKIE] = desk.accounts._signer.sign(token).decode()
    return SimpleNamespace(cookies=cookies, headers={}, session_hash=f"tab of {name}",
                           client=SimpleNamespace(host="192.0.2.7"))  # fmt: skip


def handed(desk: Services, request: Any, said: str = "human!", **rest: Any) -> tuple[str, str]:
    """A customer's conversation with a ticket: (conversation, ticket)."""
    owner = desk.visitors.owner_of(request.cookies, "")
    talk = desk.store.conversations.create(owner, "en")
    desk.store.conversations.append(owner, talk, "user", said)
    memory = Memory(running=Running(flow="return", key="k", slots={"item": EVIL}), moods=[-1, -1])
    made = handoff.packet("mood", "en", memory, [Said(role="user", content=said)],
                          [{"id": "r", "title": EVIL}])  # fmt: skip
    return talk, desk.desk.hand_over(owner, talk, made.model_copy(update=rest))


def picked_calls(ui: Page, request: Any) -> dict[str, Any]:
    """What each handler gives."""
    tab, answers = ui.desk, ui.desk.answers
    return {
        "open": tab.open("x", "en", request),
        "pick": tab.pick("x", "en", request),
        "take": tab.take_over("x", "en", request),
        "release": tab.hand_back("x", "en", request),
        "close": tab.finish("x", "en", request),
        "say": tab.say("hello", "x", "en", request),
        "answers": answers.open("en", request),
        "begin": answers.begin("q", "en", request),
        "edit": answers.edit("x", "en", request),
        "clear": answers.clear("en", request),
        "keep": answers.keep(None, "q", "a", "en", request),
        "remove": answers.remove("x", "en", request),
    }


# Who may -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "cas"])
def test_every_handler_refuses_who_is_no_agent(
    ui: Page, desk: Services, toasts: list[str], name: str | None
) -> None:
    request = asking(desk, name)
    handed(desk, asking(desk, None))
    results = picked_calls(ui, request)
    assert all(result == {} for result in results.values())
    assert toasts == ["This is for the role agent: log in with such an account first"] * 12
    assert ui.desk.again(None, "en", request) == {}
    assert ui.desk.answers.again("en", request) == {}
    looked = ui.desk.look(None, None, "en", request)
    assert looked.keys() == {ui.desk.tab, ui.desk.timer}
    assert looked[ui.desk.tab]["visible"] is False
    assert desk.store.curated.all() == []


@pytest.mark.parametrize(
    ("name", "there"), [(None, False), ("cas", False), ("alex", True), ("ada", True)]
)
def test_the_tab_is_shown_to_agents_and_admins(
    ui: Page, desk: Services, name: str | None, there: bool
) -> None:
    updates = ui._open("zh", asking(desk, name))
    assert updates[ui.desk.tab]["visible"] is there
    assert updates[ui.desk.tab]["label"] == "客服台"
    assert updates[ui.desk.timer].active is there


def test_the_page_that_a_customer_gets_holds_no_ticket(ui: Page, desk: Services) -> None:
    handed(desk, asking(desk, None), "a secret of mine")
    assert "a secret of mine" not in json.dumps(ui.blocks.get_config_file(), default=str)


# A ticket from hand-off to close -----------------------------------------------------------------


def test_a_customer_is_taken_answered_handed_back_and_closed(
    ui: Page, desk: Services, toasts: list[str]
) -> None:
    customer, alex, bea = asking(desk, None), asking(desk, "alex"), asking(desk, "bea")
    tab, watching = ui.desk, ui.chat.watching
    talk, ticket = handed(desk, customer, f"human! {EVIL}")

    shown = tab.pick(ticket, "en", alex)
    assert shown[tab.ticket] == ticket
    assert 'aria-pressed="true"' in shown[tab.queue]
    assert "send something back" in shown[tab.detail]
    assert "human!" in shown[tab.talk]
    assert (shown[tab.take]["visible"], shown[tab.answering]["visible"]) == (True, False)
    for markup in (shown[tab.queue], shown[tab.detail], shown[tab.talk]):
        assert EVIL not in markup
        assert "<img" not in markup
    first = watching.look(talk, None, "en", customer)
    assert "Our team has received your conversation" in first[watching.line]

    taken = tab.take_over(ticket, "en", alex)
    assert (taken[tab.take]["visible"], taken[tab.answering]["visible"]) == (False, True)
    assert "yours" in taken[tab.queue]
    assert tab.take_over(ticket, "en", bea) == {}
    assert toasts.pop() == "Alex has this ticket"
    assert "with alex" in tab.pick(ticket, "en", bea)[tab.queue]

    said = tab.say(f"Hello, alex here {EVIL}", ticket, "en", alex)
    assert said[tab.box] == ""
    assert "Hello, alex here" in said[tab.talk]
    seen = watching.look(talk, first[watching._seen], "en", customer)
    assert "alex from our team is with you" in seen[watching.line]
    bubble = seen[ui.chat.thread]["value"][-1]
    assert bubble["role"] == "assistant"
    assert "alex · our team" in bubble["content"]
    assert EVIL not in bubble["content"]
    assert "Hello, alex here" in seen[ui.chat.spoken]
    again = watching.look(talk, seen[watching._seen], "en", customer)
    assert again.keys() == {watching._seen}

    back = tab.hand_back(ticket, "en", alex)
    assert back[tab.take]["visible"] is True
    done = tab.finish(ticket, "en", alex)
    assert ticket not in done[tab.queue]
    assert toasts == ["The bot answers again; the ticket is back in the queue.",
                      "The ticket is closed; the bot answers from now on."]  # fmt: skip
    closed = watching.look(talk, seen[watching._seen], "en", customer)
    assert closed[watching.line] == ""
    assert ui.chat.thread not in closed


@pytest.mark.parametrize(("name", "may"), [("bea", False), ("ada", True)])
def test_what_another_has_is_taken_over_by_admins_alone(
    ui: Page, desk: Services, toasts: list[str], name: str, may: bool
) -> None:
    tab, other = ui.desk, asking(desk, name)
    _, ticket = handed(desk, asking(desk, None))
    tab.take_over(ticket, "en", asking(desk, "alex"))
    shown = tab.pick(ticket, "zh", other)
    assert "alex 处理中" in shown[tab.detail]
    assert {shown[b]["visible"] for b in (tab.take, tab.release, tab.close)} == {may}
    assert shown[tab.answering]["visible"] is False
    taken = tab.take_over(ticket, "zh", other)
    if may:
        assert taken[tab.answering]["visible"] is True
        assert "您处理中" in taken[tab.detail]
    else:
        assert toasts == ["Alex 正在处理这张工单。"]
    assert desk.store.tickets.get(ticket).agent == (name if may else "alex")


def test_what_cannot_be_sent_stays_in_the_box(ui: Page, desk: Services, toasts: list[str]) -> None:
    alex = asking(desk, "alex")
    _, ticket = handed(desk, asking(desk, None))
    assert ui.desk.say("hello", ticket, "zh", alex) == {}
    ui.desk.take_over(ticket, "en", alex)
    assert ui.desk.say("   ", ticket, "en", alex) == {}
    assert ui.desk.say({"not": "text"}, "none", "en", alex) == {}
    assert toasts[:2] == ["请先接手这张工单。", "The text is empty: type something first"]


def test_a_new_ticket_appears_by_itself_and_nothing_else_is_drawn(ui: Page, desk: Services) -> None:
    alex, tab = asking(desk, "alex"), ui.desk
    seen = tab.open(None, "en", alex)[tab.seen]
    assert tab.look(None, seen, "en", alex).keys() == {tab.seen}
    talk, ticket = handed(desk, asking(desk, None))
    looked = tab.look(None, seen, "en", alex)
    assert ticket in looked[tab.queue]
    assert re.fullmatch(r"Desk \(\d+\)", looked[tab.tab]["label"])
    opened = tab.pick(ticket, "en", alex)
    owner = desk.store.tickets.get(ticket).owner
    desk.store.conversations.append(owner, talk, "user", "Are you there?")
    assert "Are you there?" in tab.look(ticket, opened[tab.seen], "en", alex)[tab.talk]


def test_a_ticket_whose_conversation_was_deleted_goes_away(ui: Page, desk: Services) -> None:
    alex, tab = asking(desk, "alex"), ui.desk
    talk, ticket = handed(desk, asking(desk, None))
    seen = tab.pick(ticket, "en", alex)[tab.seen]
    desk.store.conversations.delete(desk.store.tickets.get(ticket).owner, talk)
    looked = tab.look(ticket, seen, "en", alex)
    assert looked[tab.ticket] is None
    assert "Choose a customer" in looked[tab.detail]


def test_nobody_sees_what_is_said_in_anothers_conversation(ui: Page, desk: Services) -> None:
    talk, _ = handed(desk, asking(desk, None), "a secret of mine")
    watching, stranger = ui.chat.watching, asking(desk, None)
    looked = watching.look(talk, None, "en", stranger)
    assert looked[watching.line] == ""
    assert ui.chat.thread not in looked


def test_nothing_is_drawn_while_an_answer_is_written(ui: Page, desk: Services) -> None:
    customer = asking(desk, None)
    talk, _ = handed(desk, customer)
    owner = desk.visitors.owner_of(customer.cookies, "")
    ui.chat._running[owner, customer.session_hash] = object()  # type: ignore[assignment]
    try:
        assert ui.chat.watching.look(talk, None, "en", customer).keys() == {ui.chat.watching._seen}
    finally:
        ui.chat._running.clear()


# Answers -----------------------------------------------------------------------------------------


def test_an_answer_is_written_for_a_declined_question_edited_and_deleted(
    ui: Page, desk: Services, toasts: list[str]
) -> None:
    alex, panel = asking(desk, "alex"), ui.desk.answers
    talk = desk.store.conversations.create("visitor:x", "en")
    for question in (f"Gift wrap {EVIL}", f"gift wrap {EVIL}!", "Mail ada@example.com?"):
        desk.store.conversations.append("visitor:x", talk, "user", question)
        desk.store.conversations.append("visitor:x", talk, "assistant", "no", finish="declined")
    lists = panel.open("en", alex)
    assert "2×" in lists[panel.missing]
    assert "ada@example.com" not in lists[panel.missing]
    assert "<img" not in lists[panel.missing]
    begun = panel.begin(f"Gift wrap {EVIL}", "en", alex)
    assert begun[panel.question] == f"Gift wrap {EVIL}"
    kept = panel.keep(None, f"Gift wrap {EVIL}", f"Yes {EVIL}", "en", alex)
    assert "2×" not in kept[panel.missing]
    assert "by alex" in kept[panel.written]
    assert "<img" not in kept[panel.written]
    [row] = desk.store.curated.all()
    form = panel.edit(row.id, "en", alex)
    assert (form[panel.answer], form[panel.delete]["visible"]) == (f"Yes {EVIL}", True)
    panel.keep(row.id, "Gift wrap?", "No.", "en", alex)
    assert [r.answer for r in desk.store.curated.all()] == ["No."]
    gone = panel.remove(row.id, "en", alex)
    assert "No answer was written yet" in gone[panel.written]
    assert panel.question not in gone  # the words stay
    assert panel.keep(None, "", "", "en", alex) == {}
    assert toasts[-1] == "The text is empty: type something first"


# Markup ------------------------------------------------------------------------------------------


def test_the_trend_is_a_picture_with_a_name() -> None:
    falling = desk_tickets.trend([0.5, 0.0, -0.9, -1.0], "en")
    assert 'aria-label="Mood: sinking"' in falling
    heights = [float(p.split(",")[1]) for p in
               re.findall(r'points="([^"]+)"', falling)[0].split()]  # fmt: skip
    assert heights == sorted(heights)  # y grows downwards
    assert len(heights) == 4
    assert desk_tickets.feeling([0.9]) == "good"
    assert desk_tickets.feeling([-0.9]) == "low"
    assert "Mood not known" in desk_tickets.trend([], "en")
    assert desk_tickets.trend([0.1] * 40, "en").count(",") == 12


@pytest.mark.parametrize(
    ("minutes", "en", "zh"),
    [
        (0, "just came in", "刚刚开始等"),
        (5, "waiting 5 min", "已等 5 分钟"),
        (125, "waiting 2 h", "已等 2 小时"),
        (2900, "waiting 2 d", "已等 2 天"),
    ],
)
def test_waiting_time_is_in_the_largest_whole_unit(minutes: int, en: str, zh: str) -> None:
    then = NOW - timedelta(minutes=minutes)
    assert [desk_tickets.waiting(then, NOW, language) for language in ("en", "zh")] == [en, zh]


def test_replacements_are_shown_with_their_reason(desk: Services) -> None:
    _, ticket = handed(desk, asking(desk, None))
    opened = Opened(desk.store.tickets.get(ticket), [], [Replacement("x", EVIL, 12.5, "Near")])
    markup = desk_tickets.detail(opened, "alex", NOW, "en")
    assert "€12.50" in markup
    assert "Near" in markup
    assert "<img" not in markup
    assert "Nothing was said yet" in desk_tickets.talk([], "alex", "en")


def test_the_desk_is_in_chinese_where_the_page_is() -> None:
    turn = Turn("1", "assistant", "在的", [], None, "stop", None, None, NOW, "alex")
    assert "您" in desk_tickets.talk([turn], "alex", "zh")
    assert "最近 30 天的问题都已回答" in desk_answers.missing([], 30, "zh")
    packet = Packet(reason="asked", summary="s", language="zh")
    assert desk_tickets.spoken(packet.language, "en") == "Chinese"
