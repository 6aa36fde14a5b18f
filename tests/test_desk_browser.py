"""A customer is handed over, an agent takes, answers and closes, all in headless Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.core.memory import Memory
from app.store.db import Store, open_store
from app.support import handoff
from tests.helpers_axe import grave
from tests.helpers_browser import Open, ask, chromium, serving, visit

__all__ = ["chromium", "visit"]

pytestmark = pytest.mark.browser
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("desk")
    own = os.environ | {"FRONTDESK_VAR": str(made)}
    for name in ("alex", "bea"):
        add = [sys.executable, "-m", "app", "user", "add", name, "--role", "agent"]
        subprocess.run(add, input=PASSWORD, text=True, check=True, env=own)
    return made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """An app with the agents alex and bea."""
    with serving(folder) as url:
        yield url


@pytest.fixture(scope="module")
def store(address: str, folder: Path) -> Iterator[Store]:
    """The app's own database."""
    del address
    opened = open_store(f"sqlite:///{folder / 'frontdesk.db'}")
    yield opened
    opened.close()


def hand_over(store: Store, owner: str, talk: str) -> str:
    made = handoff.packet("asked", "en", Memory(moods=[0.1, -0.6, -0.9]))
    return store.tickets.hand_over(owner, talk, made)


def log_in(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}/login")
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".account")).to_contain_text(name)


def talk_of(store: Store, said: str) -> tuple[str, str]:
    """(owner, conversation) in which the text was said."""
    from sqlalchemy import select

    from app.store.models import Message

    with store.read() as session:
        found = session.scalars(select(Message).where(Message.content == said)).one()
        return found.owner, str(found.conversation_id)


def test_a_customer_is_handed_over_answered_and_let_go(
    visit: Open, chromium: Browser, address: str, store: Store
) -> None:
    customer = visit()
    expect(customer.get_by_role("tab", name="Desk")).to_have_count(0)
    agent = chromium.new_context(locale="en-US").new_page()
    log_in(agent, address, "alex")
    agent.get_by_role("tab", name="Desk").click()
    expect(agent.locator("#desk-queue")).to_contain_text("Nobody is waiting")

    ask(customer, "My kettle leaks, and I am tired of it")
    hand_over(store, *talk_of(store, "My kettle leaks, and I am tired of it"))
    expect(customer.locator("#attended")).to_contain_text("Our team has received")
    expect(agent.get_by_role("tab", name="Desk (1)")).to_be_visible()

    # With the keyboard alone: to the ticket, in, taken, answered.
    ticket = agent.locator("#desk-queue button.ticket")
    ticket.focus()
    agent.keyboard.press("Enter")
    expect(agent.locator("#desk-said")).to_contain_text("My kettle leaks")
    agent.locator("#desk-take").focus()
    agent.keyboard.press("Enter")
    reply = agent.locator("#desk-reply textarea")
    expect(reply).to_be_focused()
    expect(customer.locator("#attended")).to_contain_text("alex from our team is with you")
    reply.fill("Hello, alex here. A new one is on its way.")
    agent.keyboard.press("Enter")
    expect(reply).to_have_value("")
    bubble = customer.locator("#thread [data-testid=bot]").last
    expect(bubble).to_contain_text("alex · our team")
    expect(bubble).to_contain_text("A new one is on its way.")

    customer.locator("#question textarea").fill("Wonderful, thank you!")
    customer.keyboard.press("Enter")
    expect(agent.locator("#desk-said")).to_contain_text("Wonderful, thank you!")
    expect(customer.locator("#send")).to_be_visible()
    expect(customer.locator("#thread [data-testid=bot]").last).to_contain_text("reads what you")

    other = chromium.new_context(locale="en-US").new_page()
    log_in(other, address, "bea")
    other.get_by_role("tab", name="Desk").click()
    expect(other.locator("#desk-queue")).to_contain_text("with alex")
    other.locator("#desk-queue button.ticket").click()
    expect(other.locator("#desk-take")).to_have_count(0)

    agent.locator("#desk-close").click()
    expect(agent.locator("#desk-queue")).to_contain_text("Nobody is waiting")
    expect(customer.locator("#attended")).to_be_hidden()
    for page in (agent, other):
        page.context.close()


def test_a_written_answer_is_what_the_next_customer_gets(
    visit: Open, chromium: Browser, address: str, store: Store
) -> None:
    owner = "visitor:earlier"
    talk = store.conversations.create(owner, "en")
    for question in ("Do you engrave tampers?", "do you engrave tampers"):
        store.conversations.append(owner, talk, "user", question)
        store.conversations.append(owner, talk, "assistant", "No idea.", finish="declined")
    agent = chromium.new_context(locale="en-US").new_page()
    log_in(agent, address, "alex")
    agent.get_by_role("tab", name="Desk").click()
    agent.get_by_role("tab", name="Missing answers").click()
    missing = agent.locator("#desk-declined button.line", has_text="engrave")
    expect(missing).to_have_count(1)
    expect(missing).to_contain_text("2×")
    missing.click()
    answer = agent.locator("#desk-answer textarea")
    expect(answer).to_be_focused()
    answer.fill("Yes, with up to twelve letters.")
    agent.locator("#desk-save").click()
    expect(agent.locator("#desk-curated")).to_contain_text("do you engrave tampers")
    expect(missing).to_have_count(0)
    customer = visit()
    ask(customer, "do you engrave tampers??")
    bubble = customer.locator("#thread [data-testid=bot]").last
    expect(bubble).to_contain_text("Yes, with up to twelve letters.")
    agent.context.close()


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
def test_the_desk_fits_a_phone_and_everybody(
    visit: Open, address: str, store: Store, language: str, theme: Any
) -> None:
    owner = "visitor:phone"
    talk = store.conversations.create(owner, "en")
    store.conversations.append(owner, talk, "user", "word" * 60)
    ticket = hand_over(store, owner, talk)
    page = visit(language, width=390, height=800, color_scheme=theme)
    log_in(page, address, "alex")
    page.get_by_role("tab", name="Desk" if language == "en" else "客服台").click()
    page.locator(f'#desk-queue button[value="{ticket}"]').click()
    expect(page.locator("#desk-said")).to_contain_text("wordword")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#desk-take").click()
    expect(page.locator("#desk-reply textarea")).to_be_visible()
    assert grave(page) == []
    store.tickets.close(ticket, "alex")
