"""The Desk's second page: questions that were declined, and the answers that agents write."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from app.services import Services
from app.serving.accounts import Account, NotAllowed
from app.store.curated import Written
from app.store.users import Role
from app.ui.desk_tickets import spoken
from app.ui.i18n import text
from app.ui.page import PRIVATE, Labels, Toasted, Updates, note

if TYPE_CHECKING:
    from app.support.declined import Group

ROLE: Role = "agent"
DAYS = 30
"""How far back declined questions are counted; not beyond the brief's retention."""
SHOWN_OTHERS = 3
_PICK = "(_, language) => [window.frontdeskDesk.picked, language]"
_FOCUS = {"fn": None, "js": "() => window.frontdeskDesk.focusAnswer()"}


class AnswersPanel:
    """Two lists and a form; made inside the Desk's second gr.Tab."""

    def __init__(self, services: Services, labels: Labels, language: gr.State, tab: gr.Tab) -> None:
        self._services, self._desk = services, services.desk
        self._days = min(DAYS, services.brief.retention_days)
        self.editing = gr.State(None)
        self._picked = gr.JSON(visible=False)
        self._missing = gr.Button(visible="hidden", elem_id="desk-missing")
        self._written = gr.Button(visible="hidden", elem_id="desk-written")
        labels.make(gr.HTML, {"value": lambda lang: intro(self._days, lang)})
        with gr.Row(elem_id="desk-book", equal_height=False):
            with gr.Column(scale=3, min_width=300):
                self.missing = gr.HTML("", elem_id="desk-declined")
                self.written = gr.HTML("", elem_id="desk-curated")
            with gr.Column(scale=2, min_width=300, elem_id="desk-form", elem_classes="sheet"):
                self._make_form(labels)
        self._listen(language, tab)

    def _make_form(self, labels: Labels) -> None:
        self.question = labels.make(
            gr.Textbox, {"label": "desk.question", "info": "desk.question_info"},
            lines=2, max_lines=4, elem_id="desk-question",
        )  # fmt: skip
        self.answer = labels.make(
            gr.Textbox, {"label": "desk.answer", "placeholder": "desk.answer_placeholder"},
            lines=5, max_lines=14, elem_id="desk-answer",
        )  # fmt: skip
        with gr.Row(elem_classes="actions"):
            self.save = labels.make(
                gr.Button, {"value": "desk.save"}, variant="primary", elem_id="desk-save"
            )
            self.new = labels.make(gr.Button, {"value": "desk.new"}, elem_id="desk-new")
            self.delete = labels.make(
                gr.Button, {"value": "desk.delete"}, visible=False, elem_id="desk-delete"
            )

    def _listen(self, language: gr.State, tab: gr.Tab) -> None:
        self._lists: list[Any] = [self.missing, self.written]
        form = [self.editing, self.question, self.answer, self.delete]
        shown = [*self._lists, *form]
        slow = PRIVATE | {"show_progress": "minimal"}
        tab.select(self.open, [language], self._lists, **slow)
        self._missing.click(
            self.begin, [self._picked, language], form, js=_PICK, **PRIVATE
        ).then(**_FOCUS, **PRIVATE)  # fmt: skip
        self._written.click(
            self.edit, [self._picked, language], form, js=_PICK, **PRIVATE
        ).then(**_FOCUS, **PRIVATE)  # fmt: skip
        words = [self.editing, self.question, self.answer, language]
        self.save.click(self.keep, words, shown, **slow)
        self.new.click(self.clear, [language], form, **PRIVATE).then(**_FOCUS, **PRIVATE)
        self.delete.click(self.remove, [self.editing, language], shown, **slow)

    def follow(self, event: Any, language: gr.State) -> None:
        """After `event`, a change of the language, the lists follow it."""
        event.then(self.again, [language], self._lists, **PRIVATE)

    # Handlers -----------------------------------------------------------------------------------

    def open(self, language: str, request: gr.Request) -> Updates:
        """Both lists."""
        with Toasted(language):
            return self._all(self._account(request), language)
        return {}

    def again(self, language: str, request: gr.Request) -> Updates:
        """`open` in another language, for those who see the tab; else nothing."""
        try:
            self._account(request)
        except NotAllowed:
            return {}
        return self.open(language, request)

    def begin(self, question: Any, language: str, request: gr.Request) -> Updates:
        """A form for a question without an answer."""
        with Toasted(language):
            self._account(request)
            return self._form(None, str(question), "")
        return {}

    def edit(self, id_: Any, language: str, request: gr.Request) -> Updates:
        """A form with what was written."""
        with Toasted(language):
            answers = self._desk.answers(self._account(request))
            for row in answers:
                if row.id == id_:
                    return self._form(row.id, row.question, row.answer)
        return {}

    def clear(self, language: str, request: gr.Request) -> Updates:
        """An empty form."""
        with Toasted(language):
            self._account(request)
            return self._form(None, "", "")
        return {}

    def keep(
        self, id_: str | None, question: Any, answer: Any, language: str, request: gr.Request
    ) -> Updates:
        """Put the answer live; what is refused stays in the form."""
        with Toasted(language):
            account = self._account(request)
            self._desk.write(account, str(question or ""), str(answer or ""), id_)
            note(language, "desk.live")
            return self._all(account, language) | self._form(None, "", "")
        return {}

    def remove(self, id_: str | None, language: str, request: gr.Request) -> Updates:
        """Take an answer away; its words stay in the form."""
        with Toasted(language):
            account = self._account(request)
            self._desk.delete(account, str(id_))
            note(language, "desk.deleted")
            gone = {self.editing: None, self.delete: gr.update(visible=False)}
            return self._all(account, language) | gone
        return {}

    # Parts --------------------------------------------------------------------------------------

    def _account(self, request: gr.Request) -> Account:
        return self._services.accounts.require(ROLE, request.cookies)

    def _all(self, account: Account, language: str) -> Updates:
        groups = self._desk.declined(account, self._days)
        return {
            self.missing: missing(groups, self._days, language),
            self.written: written(self._desk.answers(account), language),
        }

    def _form(self, id_: str | None, question: str, answer: str) -> Updates:
        return {
            self.editing: id_, self.question: question, self.answer: answer,
            self.delete: gr.update(visible=id_ is not None),
        }  # fmt: skip


# Markup: every text is escaped here --------------------------------------------------------------


def missing(groups: Sequence[Group], days: int, language: str) -> str:
    """Declined questions by frequency, each a button that begins its answer."""
    rows = "".join(
        f'<li><button type="button" class="pick line" name="desk-missing" '
        f'value="{escape(g.question)}"><b class="times">{text(language, "desk.times", n=g.times)}'
        f'</b><span class="asked">{escape(g.question)}{_others(g, language)}</span>'
        f'<span class="chip">{spoken(g.language, language)}</span></button></li>'
        for g in groups
    )
    none = text(language, "desk.none_missing", days=days)
    return _list(text(language, "desk.missing"), rows, none)


def written(rows: Sequence[Written], language: str) -> str:
    """Answers that agents wrote, each a button that opens it."""
    items = "".join(
        f'<li><button type="button" class="pick line" name="desk-written" value="{escape(r.id)}">'
        f'<span class="asked"><b>{escape(r.question)}</b><small>{escape(r.answer)}</small></span>'
        f'<span class="chip">{escape(text(language, "desk.by", author=r.author))}</span>'
        f"</button></li>"
        for r in rows
    )
    return _list(text(language, "desk.written"), items, text(language, "desk.none_written"))


def _others(group: Group, language: str) -> str:
    if not group.others:
        return ""
    shown = " · ".join(group.others[:SHOWN_OTHERS])
    return f"<small>{escape(text(language, 'desk.also', others=shown))}</small>"


def _list(title: str, rows: str, none: str) -> str:
    inside = f'<ul class="desk-lines">{rows}</ul>' if rows else f'<p class="small">{none}</p>'
    return f"<h3>{title}</h3>{inside}"


def intro(days: int, language: str) -> str:
    """What the page is for."""
    return (
        f'<div class="intro"><h2>{text(language, "desk.answers_title")}</h2>'
        f"<p>{text(language, 'desk.answers_intro', days=days)}</p></div>"
    )
