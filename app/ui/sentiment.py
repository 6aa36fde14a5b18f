"""The Sentiment tab: a text in, a word and probabilities out, and a way to say that it is wrong."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from app.core.errors import InputError
from app.core.language import detect
from app.services import Services
from app.ui.i18n import text, word
from app.ui.page import PRIVATE, Labels, Toasted, Updates, asker, awaited, note, percent

EXAMPLES = tuple(f"sentiment.example{n}" for n in range(1, 5))
_BOUNDED = "(text, ...rest) => [(text || '').slice(0, {0} + 45000), ...rest]"
Shown = dict[str, Any]
"""What is on show: {text, label, score, probabilities, not_sure}; kept in the page's session."""


class SentimentTab:
    """Components and handlers of the tab; made inside a gr.Tab."""

    def __init__(self, services: Services, labels: Labels, language: gr.State) -> None:
        self._services = services
        self.shown = gr.State(None)
        labels.make(gr.HTML, {"value": intro})
        with gr.Row(elem_id="mood", equal_height=False):
            with gr.Column(scale=1, min_width=320):
                self._make_question(labels)
            with gr.Column(scale=1, min_width=320):
                self._make_verdict(labels, services.brief.retention_days)
        self._listen(language)

    def _make_question(self, labels: Labels) -> None:
        self.box = labels.make(
            gr.Textbox,
            {"label": "sentiment.box", "placeholder": "sentiment.placeholder"},
            lines=5, max_lines=12, elem_id="review",
        )  # fmt: skip
        self.run = labels.make(
            gr.Button, {"value": "sentiment.run"}, variant="primary", elem_id="read"
        )
        self.examples = labels.make(
            gr.Dataset,
            {
                "label": "sentiment.examples",
                "samples": examples,
                "visible": lambda _: self._services.demo,
            },
            components=[self.box], type="index", elem_id="reviews",
        )  # fmt: skip

    def _make_verdict(self, labels: Labels, days: int) -> None:
        # Apart from the verdict: a load that ends late must not wipe out what was read meanwhile.
        self.empty = labels.make(gr.HTML, {"value": empty})
        self.verdict = gr.HTML(visible=False, elem_id="verdict")
        self.bars = labels.make(
            gr.Label, {"label": "sentiment.bars"}, show_heading=False, visible=False, elem_id="bars"
        )
        self.wrong = labels.make(
            gr.Button, {"value": "sentiment.wrong"}, visible=False, elem_id="wrong"
        )
        with gr.Column(visible=False, elem_id="relabel", elem_classes="sheet") as self.panel:
            self.label = labels.make(
                gr.Radio, {"label": "sentiment.correct"}, choices=[], elem_id="really"
            )
            self.consent = labels.make(
                gr.Checkbox,
                {
                    "label": "feedback.consent",
                    "info": lambda lang: text(lang, "sentiment.consent_info", days=days),
                },
                value=False, elem_id="sentiment-consent",
            )  # fmt: skip
            with gr.Row(elem_classes="actions"):
                self.correct = labels.make(
                    gr.Button,
                    {"value": "feedback.send"},
                    variant="primary",
                    elem_id="correct-label",
                )
                self.close = labels.make(gr.Button, {"value": "feedback.cancel"})

    def _listen(self, language: gr.State) -> None:
        bounded = _BOUNDED.format(self._services.settings.max_text_chars)
        read = [self.empty, self.verdict, self.bars, self.wrong, self.panel, self.shown, self.box]
        quiet = PRIVATE | {"show_progress": "minimal"}
        self.run.click(self.read, [self.box, language], read, js=bounded, **quiet)
        self.box.submit(self.read, [self.box, language], read, js=bounded, **quiet)
        self.examples.click(self.read_example, [self.examples, language], read, **quiet)
        panel = [self.panel, self.label, self.consent, self.wrong]
        self.wrong.click(self.open, [self.shown, language], panel, **PRIVATE)
        self.close.click(self.closed, None, panel, **PRIVATE)
        self.correct.click(
            self.send_correction, [self.shown, self.label, self.consent, language], panel, **PRIVATE
        )

    # Handlers -----------------------------------------------------------------------------------

    def read(self, review: str, language: str, request: gr.Request) -> Updates:
        """Classify; nothing is stored."""
        who = asker(self._services, request)
        with Toasted(language):
            awaited(self._services, "sentiment")
            prediction = self._services.classify([review or ""], who.owner, quota=who.quota)[0][0]
            shown = {"text": review, **prediction._asdict()}
            return self.localised(shown, language) | {
                self.shown: shown,
                self.panel: gr.update(visible=False),
            }
        return {}

    def read_example(self, number: int, language: str, request: gr.Request) -> Updates:
        """A review of ours is put into the box and read."""
        review = text(language, EXAMPLES[int(number) % len(EXAMPLES)])
        return self.read(review, language, request) | {self.box: review}

    def open(self, shown: Shown | None, language: str) -> Updates:
        """The correction, with every label but the one that was given."""
        if not shown:
            return {}
        others = [name for name in shown["probabilities"] if name != shown["label"]]
        choices = [(word(language, "label", name), name) for name in others]
        picked = others[0] if len(others) == 1 else None
        return {
            self.panel: gr.update(visible=True),
            self.label: gr.update(choices=choices, value=picked),
            self.consent: False,
            self.wrong: gr.update(visible=False),
        }

    def closed(self) -> Updates:
        """The correction put away."""
        return {self.panel: gr.update(visible=False), self.wrong: gr.update(visible=True)}

    def send_correction(
        self, shown: Shown | None, label: str | None, consent: bool, language: str,
        request: gr.Request,
    ) -> Updates:  # fmt: skip
        """Now the text is kept, with what it really is and whether it may be trained on."""
        who = asker(self._services, request)
        with Toasted(language):
            if not shown or not label:
                raise InputError(text("en", "sentiment.choose"), zh=text("zh", "sentiment.choose"))
            kept = self._services.classify([shown["text"]], who.owner, keep=True, quota=who.quota)[
                0
            ]
            self._services.feedback(
                who.owner, str(kept.message_id), -1, correction=label, consent=consent is True,
                quota=who.quota,
            )  # fmt: skip
            note(language, "feedback.thanks")
            return {self.panel: gr.update(visible=False), self.wrong: gr.update(visible=False)}
        return {}

    def localised(self, shown: Shown | None, language: str) -> Updates:
        """The verdict in `language`."""
        if not shown:
            return {}
        named = {word(language, "label", n): p for n, p in shown["probabilities"].items()}
        return {
            self.empty: gr.update(visible=False),
            self.verdict: gr.update(value=verdict(shown, language), visible=True),
            self.bars: gr.update(value=named, visible=True),
            self.wrong: gr.update(visible=True),
        }


def verdict(shown: Shown, language: str) -> str:
    """The word, how sure, and an admission where it is not."""
    label, share = word(language, "label", shown["label"]), percent(shown["score"])
    if shown["not_sure"]:
        tone, title = "unsure", text(language, "sentiment.not_sure")
        # A share of certainty in a language that nobody measured it on would be a made-up number.
        read = detect(shown["text"]) == "en"
        key = "sentiment.leaning" if read else "sentiment.unread"
        line = text(language, key, label=label, percent=share)
    else:
        tone, title = shown["label"], label
        line = text(language, "sentiment.sure", percent=share)
    return (
        f'<div class="verdict {escape(tone)}" role="status"><strong>{escape(title)}</strong>'
        f"<p>{escape(line)}</p></div>"
    )


def empty(language: str) -> str:
    """Before the first text."""
    return f'<div class="verdict none"><p>{text(language, "sentiment.empty")}</p></div>'


def intro(language: str) -> str:
    """What the tab is for."""
    return (
        f'<div class="intro"><h2>{text(language, "sentiment.title")}</h2>'
        f"<p>{text(language, 'sentiment.intro')}</p></div>"
    )


def examples(language: str) -> list[list[str]]:
    """Reviews of the demo shop to try."""
    return [[text(language, key)] for key in EXAMPLES]
