"""The page: head, three tabs, foot; what changes the language, and what tells who serves.

`build(services)` needs no loaded model: the page paints at once and says that the model wakes up.
"""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from app.services import Readiness, Services
from app.ui.chat import ChatTab
from app.ui.desk import DeskTab
from app.ui.i18n import HTML_LANG, known, of_browser, other, text
from app.ui.page import PRIVATE, Labels, Updates, asker, merged
from app.ui.quality import QualityTab
from app.ui.recommend import RecommendTab
from app.ui.sentiment import SentimentTab
from app.ui.signin import account

WAKING_S, SERVING_S = 1.0, 4.0
"""Seconds between two looks at what serves."""
_LOGO = (
    '<svg viewBox="0 0 48 48" width="44" height="44" aria-hidden="true">'
    '<path d="M12 22h22v10a8 8 0 0 1-8 8h-6a8 8 0 0 1-8-8z"/>'
    '<path d="M34 25h3a4 4 0 0 1 0 8h-3.4M15 22c0-5 3.5-8 8-8s8 3 8 8M23 14v-3" class="line"/>'
    '<path d="M12 26 6 21" class="line"/>'
    '<path d="M23 37V26m0 8 4-3m-4 3-4-3m4-1 3.4-2.6M23 30l-3.4-2.6" class="frond"/></svg>'
)


def build(services: Services) -> gr.Blocks:
    """The page over `services`; app.server queues and mounts it."""
    return Page(services).blocks


class Page:
    """Head, tabs, foot, and the events that touch all of them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._labels = labels = Labels()
        self.blocks: gr.Blocks
        with gr.Blocks(title=self._title("en"), fill_width=True) as self.blocks:
            self._language = gr.State("en")
            self._seen = gr.State(None)
            # Only a preference: the key guards nothing and is the same in every process.
            self._chosen = gr.BrowserState("", storage_key="frontdesk.language", secret="frontdesk")
            self._words = gr.JSON(visible=False)
            self._make_head()
            self._status = gr.HTML("", elem_id="status")
            with gr.Tabs(elem_id="tabs"):
                with labels.make(gr.Tab, {"label": "tab.chat"}, id="chat"):
                    self.chat = ChatTab(services, labels, self._language)
                # Next to the chat, so that it is at hand on a phone too.
                hidden = {"id": "desk", "visible": False}
                with labels.make(gr.Tab, {"label": "tab.desk"}, **hidden) as tab:
                    self.desk = DeskTab(services, labels, self._language, tab)
                with labels.make(gr.Tab, {"label": "tab.sentiment"}, id="sentiment"):
                    self.mood = SentimentTab(services, labels, self._language)
                with labels.make(gr.Tab, {"label": "tab.recommend"}, id="recommend") as tab:
                    self.shop = RecommendTab(services, labels, self._language, tab)
                hidden = {"id": "quality", "visible": False}
                with labels.make(gr.Tab, {"label": "tab.quality"}, **hidden) as tab:
                    self.quality = QualityTab(services, labels, self._language, tab)
            self._foot = gr.HTML("", elem_id="foot")
            self._timer = gr.Timer(WAKING_S)
            self._listen()

    def _make_head(self) -> None:
        with gr.Row(elem_id="head"):
            self._labels.make(gr.HTML, {"value": self._head}, elem_id="brand")
            self._account = gr.HTML("", elem_id="account")
            self._switch = self._labels.make(
                gr.Button, {"value": "page.other_language"}, size="sm", elem_id="language"
            )
            theme = self._labels.make(
                gr.Button, {"value": "page.theme"}, size="sm", elem_id="theme"
            )
        theme.click(None, js="() => window.frontdesk.toggleTheme()", **PRIVATE)

    def _title(self, language: str) -> str:
        return text(language, "page.title", name=self._services.brief.name)

    def _head(self, language: str) -> str:
        return head(self._services.brief.name, language, self._services.demo)

    def _listen(self) -> None:
        labelled = list(self._labels.updates("en"))
        chat, mood, shop = self.chat, self.mood, self.shop
        everything = list(dict.fromkeys([
            *labelled, self._language, self._chosen, self._words, self._seen, self._status,
            self._foot, self._timer, chat.thread, chat.conversation, chat.list, chat.talks.manage,
            mood.verdict, mood.bars, mood.wrong, mood.shown, shop.cards, *shop.shelves,
            self._account, self.desk.timer,
        ]))  # fmt: skip
        speak = {"fn": None, "inputs": [self._words], "js": "(w) => window.frontdesk.say(w)"}
        self.blocks.load(self._open, [self._chosen], everything, **PRIVATE).then(**speak, **PRIVATE)
        changed = self._switch.click(
            self._change, [self._language, chat.conversation, mood.shown, shop.wish], everything,
            **PRIVATE,
        ).then(**speak, **PRIVATE)  # fmt: skip
        self.quality.follow(changed, self._language)
        self.desk.follow(changed, self._language)
        # Not queued: a full queue must not hide that the model is there.
        self._timer.tick(
            self._look, [self._seen, self._language],
            [self._seen, self._status, self._foot, self._timer, *shop.shelves],
            queue=False, **PRIVATE,
        )  # fmt: skip

    # Handlers -----------------------------------------------------------------------------------

    def _open(self, chosen: Any, request: gr.Request) -> Updates:
        """The page as its visitor left it: language of last time, else of the browser."""
        header = request.headers.get("accept-language", "")
        language = known(chosen) if chosen else of_browser(header)
        latest = self.chat.latest(asker(self._services, request).owner)
        return self._localised(language, latest, None, None, request)

    def _change(
        self, language: str, conversation: str | None, shown: Any, wish: Any, request: gr.Request
    ) -> Updates:
        """The other language, for what is on the page too."""
        to = other(language)
        return self._localised(to, conversation, shown, wish, request) | {self._chosen: to}

    def _look(self, seen: Any, language: str) -> Any:
        """Where it changed: what serves, and what to say of it."""
        now = self._services.ready()
        if now.state == seen:
            return {self._seen: gr.skip()}
        return self._told(now, seen, language) | self.shop.stocked(language)

    def _localised(
        self, language: str, conversation: str | None, shown: Any, wish: Any, request: gr.Request
    ) -> Updates:
        owner = asker(self._services, request).owner
        who = self._services.accounts.who(request.cookies)
        names = {"lang": HTML_LANG[language], "title": self._title(language),
                 "log": text(language, "chat.log"), "like": text(language, "chat.like"),
                 "dislike": text(language, "chat.dislike"), "typing": text(language, "chat.typing"),
                 "copied": text(language, "chat.copied"), "lost": text(language, "chat.lost"),
                 "asked": text(language, "chat.asked"),
                 "answered": text(language, "chat.answered")}  # fmt: skip
        return merged(
            self._labels.updates(language),
            {self._language: language, self._words: names},
            {self._account: account(who.name, who.role, language)},
            self.desk.localised(who),
            self.quality.localised(who),
            self._told(self._services.ready(), None, language),
            self.chat.restored(owner, conversation, language),
            self.mood.localised(shown, language),
            self.shop.localised(wish, language, request),
        )

    def _told(self, now: Readiness, seen: Any, language: str) -> Updates:
        waking = any(s["state"] == "loading" for s in now.state.values())
        return {
            self._seen: now.state,
            self._status: status(now.state, seen, language),
            self._foot: foot(now.state, seen, language, self._services.demo),
            self._timer: gr.Timer(WAKING_S if waking else SERVING_S),
        }


# Markup: every text is escaped here --------------------------------------------------------------


def head(shop: str, language: str, demo: bool) -> str:
    """The shop's name; of the demo what it sells, and that it is invented."""
    pill = f'<span class="pill">{text(language, "brand.synthetic")}</span>' if demo else ""
    tagline = f"<p>{text(language, 'brand.tagline')}</p>" if demo else ""
    return (
        f'<a class="skip" href="#question">{text(language, "chat.box")}</a>'
        f'<div class="brand">{_LOGO}<div><h1>{escape(shop)}{pill}</h1>{tagline}</div></div>'
    )


def status(state: dict[str, dict[str, str]], seen: Any, language: str) -> str:
    """One line while something wakes up, failed, or was just swapped; else nothing."""
    if any(s["state"] == "loading" for s in state.values()):
        return banner("waking", text(language, "status.waking"))
    failed = [f for f, s in state.items() if s["state"] == "failed"]
    if failed:
        return banner("failed", text(language, "status.failed", features=named(failed, language)))
    swapped = [f for f in state if fresh(f, state, seen)]
    if swapped:
        return banner(
            "swapped", text(language, "status.swapped", features=named(swapped, language))
        )
    return ""


def foot(state: dict[str, dict[str, str]], seen: Any, language: str, demo: bool) -> str:
    """Which release serves each feature; one that was just swapped in is marked."""
    invented = f"{text(language, 'footer.synthetic')} " if demo else ""

    def release(feature: str) -> str:
        now = state[feature]
        missing = "footer.failed" if now["state"] == "failed" else "footer.loading"
        mark = ' class="fresh"' if fresh(feature, state, seen) else ""
        served = escape(now.get("release") or text(language, missing))
        name = text(language, f"feature.{feature}")
        return f'<li data-feature="{feature}"{mark}>{name} <code>{served}</code></li>'

    return (
        f'<div class="foot"><p>{invented}<a href="docs">{text(language, "footer.api")}</a> '
        f'<a href="login?lang={language}" class="staff">{text(language, "footer.staff")}</a></p>'
        f"<div><span>{text(language, 'footer.releases')}</span>"
        f"<ul>{''.join(release(feature) for feature in state)}</ul></div></div>"
    )


def fresh(feature: str, state: dict[str, dict[str, str]], seen: Any) -> bool:
    """Whether another release serves than at the last look."""
    before = (seen or {}).get(feature, {}).get("release")
    return before is not None and before != state[feature].get("release")


def banner(kind: str, words: str) -> str:
    """A line over the tabs."""
    return f'<div class="banner {kind}" role="status">{escape(words)}</div>'


def named(features: list[str], language: str) -> str:
    """Features in words."""
    comma = "、" if language == "zh" else ", "
    return comma.join(text(language, f"feature.{feature}") for feature in features)
