"""The Quality tab, for admins: what is served, how good it is, and the evidence for it.

Hidden from others, which guards nothing: every handler asks for the role itself.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.services import Services
from app.serving import reports
from app.serving.accounts import Account, NotAllowed
from app.serving.reports import FEATURES, Reports
from app.store.users import Role
from app.ui.evidence import bare, card, framed, intro, note, source, titled
from app.ui.i18n import text
from app.ui.page import PRIVATE, Labels, Toasted, Updates

ROLE: Role = "admin"


class QualityTab:
    """Components and handlers of the tab; made inside a gr.Tab that is hidden."""

    def __init__(self, services: Services, labels: Labels, language: gr.State, tab: gr.Tab) -> None:
        self._services = services
        self._reports = Reports(services.settings.runs_dir)
        self.tab = tab
        labels.make(gr.HTML, {"value": intro})
        self.overview = gr.HTML("", elem_id="overview")
        with gr.Row(elem_id="evidence", elem_classes="sheet"):
            self.source = labels.make(
                gr.Dropdown, {"label": "quality.source"}, choices=[], elem_id="source",
                min_width=200, scale=1,
            )  # fmt: skip
            self.report = labels.make(
                gr.Dropdown, {"label": "quality.report"}, choices=[], elem_id="report",
                min_width=280, scale=3,
            )  # fmt: skip
        self.paper = gr.HTML("", elem_id="paper")
        self._outputs = [self.overview, self.source, self.report, self.paper]
        self._listen(language)

    def _listen(self, language: gr.State) -> None:
        slow = PRIVATE | {"show_progress": "minimal"}
        self.tab.select(self.open, [self.report, language], self._outputs, **slow)
        self.source.input(self.choose, [self.source, language], self._outputs, **slow)
        self.report.input(self.read, [self.report, language], self._outputs, **slow)

    def follow(self, event: Any, language: gr.State) -> None:
        """After `event`, a change of the language, what is shown follows it."""
        event.then(self.again, [self.report, language], self._outputs, **PRIVATE)

    # Handlers -----------------------------------------------------------------------------------

    def open(self, shown: str | None, language: str, request: gr.Request) -> Updates:
        """The overview, the pickers, and the report shown last, else the first."""
        with Toasted(language):
            self._services.accounts.require(ROLE, request.cookies)
            return self._all(shown, language)
        return {}

    def again(self, shown: str | None, language: str, request: gr.Request) -> Updates:
        """`open` in another language, where the tab was opened before; else nothing."""
        try:
            self._services.accounts.require(ROLE, request.cookies)
        except NotAllowed:
            return {}
        return self.open(shown, language, request) if shown else {}

    def choose(self, source: str, language: str, request: gr.Request) -> Updates:
        """The reports of a source, and the first of them."""
        with Toasted(language):
            self._services.accounts.require(ROLE, request.cookies)
            first = next((e.id for e in self._reports.list() if e.source == source), None)
            return self._pickers(first, language) | self._shown(first, language)
        return {}

    def read(self, shown: str, language: str, request: gr.Request) -> Updates:
        """One report."""
        with Toasted(language):
            self._services.accounts.require(ROLE, request.cookies)
            return self._shown(shown, language)
        return {}

    def localised(self, account: Account) -> Updates:
        """Whether this visitor sees the tab at all."""
        return {self.tab: gr.update(visible=account.role == ROLE)}

    # What they show -----------------------------------------------------------------------------

    def _all(self, shown: str | None, language: str) -> Updates:
        known = [entry.id for entry in self._reports.list()]
        chosen = shown if shown in known else next(iter(known), None)
        return {
            self.overview: self._cards(language),
            **self._pickers(chosen, language),
            **self._shown(chosen, language),
        }

    def _pickers(self, shown: str | None, language: str) -> Updates:
        entries = self._reports.list()
        chosen = next((e.source for e in entries if e.id == shown), None)
        sources = dict.fromkeys(entry.source for entry in entries)
        names = [(source(name, language), name) for name in sources]
        mine = [(titled(e, language), e.id) for e in entries if e.source == chosen]
        return {
            self.source: gr.update(choices=names, value=chosen),
            self.report: gr.update(choices=mine, value=shown),
        }

    def _shown(self, shown: str | None, language: str) -> Updates:
        if shown is None:
            return {self.paper: note(text(language, "quality.none"))}
        entry = self._reports.get(shown)
        page = reports.page(entry)
        inside = bare(entry, language) if page is None else framed(page, titled(entry, language))
        return {self.paper: inside}

    def _cards(self, language: str) -> str:
        """A card for each released feature: its first metric, and what the gate said."""
        found = {(e.source, e.kind, e.place): e for e in self._reports.list()}
        made = []
        for feature in FEATURES:
            report = found.get((feature, "report", feature))
            gate = found.get((feature, "gate", ""))
            release = self._reports.release(feature)
            measured = reports.tree(report) if report else {}
            made.append(
                card(feature, release, measured, reports.tree(gate) if gate else {}, language)
            )
        return f'<ul class="cards quality">{"".join(made)}</ul>'
