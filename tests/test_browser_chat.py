"""Headless Chromium in the chat: citations, edit, retry, drafts, list, keyboard, cut lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from app.support.flows import words
from app.ui.i18n import text
from tests.helpers_browser import (
    ASKED,
    LOCALES,
    Open,
    address,
    again,
    ask,
    chromium,
    opened,
    told,
    visit,
)

__all__ = ["address", "chromium", "visit"]

pytestmark = pytest.mark.browser
SECOND = "How hot should the water be for green tea?"


def box(page: Page) -> str:
    return page.locator("#question textarea").input_value()


def questions(page: Page) -> list[str]:
    """The questions in the thread, as they read."""
    return page.locator("#thread [data-testid=user] .said").all_inner_texts()


def test_a_number_in_the_answer_opens_its_passage_by_keyboard(visit: Open) -> None:
    page = visit()
    ask(page, ASKED["en"])
    source = page.locator("#thread details.source").first
    expect(source.locator(".passage")).to_be_hidden()
    page.locator("#thread button.cite").first.focus()
    page.keyboard.press("Enter")
    expect(source.locator(".passage")).to_be_visible()
    expect(source.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(source.locator(".passage")).to_be_hidden()


def test_the_last_question_is_edited_and_the_answer_given_again(visit: Open) -> None:
    page = visit()
    ask(page, ASKED["en"])
    page.locator("#question textarea").press("ArrowUp")
    assert box(page) == ASKED["en"]
    expect(page.locator("#editing")).to_be_visible()
    page.locator("#question textarea").fill(SECOND)
    page.keyboard.press("Enter")
    expect(page.locator("#thread [data-testid=user] .said")).to_have_text([SECOND])
    expect(page.locator("#editing")).to_be_hidden()
    expect(page.locator("#send")).to_be_visible()
    page.locator("#thread button.retry").click()
    expect(page.locator("#thread .typing, #thread .echo")).to_have_count(0)
    expect(page.locator("#thread [data-testid=user] .said")).to_have_text([SECOND])
    again(page)
    expect(page.locator("#thread [data-testid=user] .said")).to_have_text([SECOND])


def test_escape_leaves_an_edit_and_changes_nothing(visit: Open) -> None:
    page = visit()
    ask(page, ASKED["en"])
    page.locator("#thread button.edit").click()
    page.keyboard.press("Escape")
    expect(page.locator("#editing")).to_be_hidden()
    assert box(page) == ""
    assert questions(page) == [ASKED["en"]]


def test_an_answer_is_copied_as_it_reads(visit: Open) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    ask(page, ASKED["en"])
    page.locator("#thread button.copy").click()
    expect(page.locator("#thread button.copy")).to_have_text(text("en", "chat.copied"))
    copied = page.evaluate("navigator.clipboard.readText()")
    said = page.locator("#thread [data-testid=bot] .said").inner_text()
    without_marks = re.sub(r"\s*\d$", "", said)
    copied_lines, lines = (
        [line for line in shown.splitlines() if line] for shown in (copied, without_marks)
    )
    assert copied_lines == lines
    assert "<" not in copied


def test_a_draft_outlives_a_reload_and_goes_with_its_question(visit: Open) -> None:
    page = visit()
    page.locator("#question textarea").fill("half a thought")
    again(page)
    expect(page.locator("#question textarea")).to_have_value("half a thought")
    ask(page, ASKED["en"])
    again(page)
    expect(page.locator("#thread .said").first).to_be_visible()
    expect(page.locator("#question textarea")).to_have_value("")


def test_a_quick_start_and_the_way_to_a_person_leave_the_draft_alone(visit: Open) -> None:
    page = visit()
    page.locator("#question textarea").fill("half a thought")
    page.locator("#human").click()
    expect(page.locator("#thread [data-testid=bot]")).to_have_count(1)
    expect(page.locator("#send")).to_be_visible()
    assert questions(page) == [text("en", "chat.human_ask")]
    assert box(page) == "half a thought"


def test_quick_replies_outlive_a_reload_and_go_with_the_next_turn(visit: Open) -> None:
    page = visit()
    offered = page.locator("#thread").get_by_role("button", name=words.GO_ON[0])
    ask(page, "I want to return something")
    ask(page, ASKED["en"])
    expect(offered).to_be_visible()
    again(page)
    expect(offered).to_be_visible()
    offered.click()
    expect(page.locator("#thread [data-testid=bot]")).to_have_count(3)
    expect(offered).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_question_that_cannot_be_sent_stays_in_the_box(
    chromium: Browser, address: str, language: str
) -> None:
    page = chromium.new_context(locale=LOCALES[language]).new_page()
    page.goto(address)
    opened(page, language)
    page.route("**/gradio_api/queue/join**", lambda route: route.abort())
    page.locator("#question textarea").fill(SECOND)
    page.keyboard.press("Enter")
    told(page, text(language, "chat.lost"))
    page.unroute("**/gradio_api/queue/join**")
    page.reload()  # as Gradio does by itself once the server is back
    opened(page, language)
    expect(page.locator("#question textarea")).to_have_value(SECOND)
    page.locator("#send").click()
    expect(page.locator("#thread [data-testid=user] .said")).to_have_text([SECOND])
    page.context.close()


def test_the_question_is_shown_before_the_server_answers(visit: Open) -> None:
    page = visit()
    held: list[Route] = []
    page.route("**/gradio_api/queue/join**", lambda route: held.append(route))
    page.locator("#question textarea").fill(SECOND)
    page.keyboard.press("Enter")
    expect(page.locator("#thread .echo .said")).to_have_text(SECOND)
    expect(page.locator("#thread .echo .typing")).to_be_visible()
    assert len(held) == 1  # the server has not even been asked yet
    held[0].continue_()
    expect(page.locator("#thread [data-testid=bot]")).to_have_count(1)
    expect(page.locator("#thread .echo")).to_have_count(0)
    assert questions(page) == [SECOND]


def test_a_conversation_is_renamed_and_deleted_by_keyboard(visit: Open) -> None:
    page = visit()
    ask(page, ASKED["en"])
    page.locator("#rename").focus()
    page.keyboard.press("Enter")
    title = page.locator("#title input, #title textarea")
    expect(title).to_be_focused()
    title.fill("My invoice")
    page.keyboard.press("Enter")
    expect(page.locator("#conversations label")).to_have_text("My invoice")
    again(page)
    expect(page.locator("#conversations label")).to_have_text("My invoice")
    page.locator("#delete").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#keep")).to_be_focused()  # not the button that deletes
    page.keyboard.press("Enter")
    expect(page.locator("#deleting")).to_be_hidden()
    page.locator("#delete").click()
    page.locator("#gone").click()
    told(page, text("en", "talks.deleted"))
    expect(page.locator("#conversations label")).to_have_count(0)
    expect(page.locator("#thread .said")).to_have_count(0)
    again(page)
    expect(page.locator("#thread .placeholder")).to_be_visible()


def test_my_data_comes_out_and_goes_by_keyboard_on_a_phone(visit: Open) -> None:
    page = visit()
    page.set_viewport_size({"width": 390, "height": 844})
    ask(page, ASKED["en"])
    page.locator("#mine-out").focus()
    with page.expect_download() as out:
        page.keyboard.press("Enter")
    assert out.value.suggested_filename == "my-data.json"
    assert ASKED["en"] in Path(out.value.path()).read_text("utf-8")
    expect(page.locator("#mine-out")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#erase")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#erase-not")).to_be_focused()  # not the button that deletes
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Enter")
    expect(page.locator("#erasing")).to_be_hidden()
    expect(page.locator("#erase")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("#erased").click()
    told(page, text("en", "mine.deleted"))
    expect(page.locator("#conversations label")).to_have_count(0)
    again(page)
    expect(page.locator("#thread .placeholder")).to_be_visible()


def test_my_data_comes_out_where_the_browser_sends_no_cookie(visit: Open) -> None:
    page = visit("zh")
    page.context.clear_cookies()  # as in a frame of another site
    ask(page, ASKED["zh"])
    for _ in range(2):
        with page.expect_download() as out:
            page.get_by_role("button", name="下载我的数据").click()
        [talk] = json.loads(Path(out.value.path()).read_text("utf-8"))["conversations"]
        assert talk["messages"][0]["content"] == ASKED["zh"]
    assert page.context.cookies() == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_whole_chat_works_by_keyboard_alone(visit: Open, language: str) -> None:
    page = visit(language)
    expect(page.locator("#question textarea")).to_be_focused()
    page.keyboard.type(ASKED[language])
    page.keyboard.press("Enter")
    expect(page.locator("#thread button.retry")).to_have_count(1)
    expect(page.locator("#question textarea")).to_be_focused()
    stops = []
    for _ in range(14):  # backwards: what lies before the box
        page.keyboard.press("Shift+Tab")
        stops.append(page.evaluate(
            "[document.activeElement.name || document.activeElement.id, document.activeElement"
            ".checkVisibility(), getComputedStyle(document.activeElement).outlineStyle]"
        ))  # fmt: skip
    names = [name for name, _, _ in stops]
    for name in ("retry", "copy", "cite", "edit", "human"):
        assert name in names
    assert [stop for stop in stops[:8] if not stop[1] or stop[2] == "none"] == []


def test_the_skip_link_leads_to_the_box(visit: Open) -> None:
    page = visit()
    page.locator(".skip").focus()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#question textarea")).to_be_focused()


def test_the_answer_is_spoken_once_politely(visit: Open) -> None:
    page = visit()
    region = page.locator("#spoken")
    expect(region).to_have_attribute("aria-live", "polite")
    expect(page.locator("#thread [role=log]")).to_have_attribute("aria-live", "off")
    ask(page, ASKED["en"])
    expect(region).to_contain_text("new PDF")
    names = page.locator("#thread [data-testid=user], #thread [data-testid=bot]").evaluate_all(
        "all => all.map(e => e.ariaLabel)"
    )
    assert names == [text("en", "chat.asked"), text("en", "chat.answered")]


def test_the_first_line_says_that_a_program_answers(visit: Open) -> None:
    for width in (1280, 390):
        page = visit(width=width, height=844)
        notice = page.locator("#notice")
        expect(notice).to_contain_text(text("en", "chat.bot"))
        expect(notice).to_be_in_viewport()
        assert notice.bounding_box()["y"] < page.locator("#thread").bounding_box()["y"]  # type: ignore[index]
        ask(page, ASKED["en"])
        expect(notice).to_be_in_viewport()
        expect(page.locator("#human")).to_be_in_viewport()


def test_without_motion_nothing_moves(visit: Open) -> None:
    page = visit(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll("*")].filter((e) => {
        const s = getComputedStyle(e);
        return parseFloat(s.animationDuration) > .001 || parseFloat(s.transitionDuration) > .001;
    }).length"""
    ask(page, ASKED["en"])
    assert page.evaluate(moving) == 0
