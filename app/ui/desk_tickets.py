"""Markup of the queue and of one ticket; every text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from app.core.desk import Packet
from app.serving.deskwork import Opened
from app.store.rows import Turn
from app.store.tickets import TicketView
from app.support import handoff, mood
from app.support.replacements import Replacement
from app.ui.bubbles import bubble
from app.ui.i18n import text

URGENT = 3
"""Priority from which on a ticket is marked."""
EVEN = 0.2
"""A mood within it is neither low nor good."""
_WIDTH, _HEIGHT, _LATEST = 84, 30, 12


def queue(
    tickets: Sequence[TicketView], shown: str | None, me: str, now: datetime, language: str
) -> str:
    """The tickets under way as buttons; the one that is open is pressed."""
    if not tickets:
        return (
            f'<div class="desk-none"><b>{text(language, "desk.nobody")}</b>'
            f"<p>{text(language, 'desk.nobody_more')}</p></div>"
        )
    rows = "".join(f"<li>{_row(t, t.id == shown, me, now, language)}</li>" for t in tickets)
    return f'<ul class="desk-queue" aria-label="{text(language, "desk.queue")}">{rows}</ul>'


def _row(ticket: TicketView, pressed: bool, me: str, now: datetime, language: str) -> str:
    urgent = f"<em>{text(language, 'desk.urgent')}</em>" if ticket.priority >= URGENT else ""
    reason = text(language, f"desk.{ticket.packet.reason}")
    return (
        f'<button type="button" class="pick ticket {escape(ticket.status)}" name="desk-pick" '
        f'value="{escape(ticket.id)}" aria-pressed="{str(pressed).lower()}">'
        f'<span class="top"><b>{reason}</b>{urgent}{trend(ticket.packet.moods, language)}</span>'
        f'<span class="sum">{escape(ticket.packet.summary)}</span>'
        f'<span class="low"><span>{waiting(ticket.created, now, language)}'
        f"</span><span>{spoken(ticket.packet.language, language)}</span>"
        f'<span class="who">{who(ticket, me, language)}</span></span></button>'
    )


def who(ticket: TicketView, me: str, language: str) -> str:
    """Who has it."""
    if ticket.status == "taken":
        if ticket.agent == me:
            return text(language, "desk.mine")
        return escape(text(language, "desk.taken", agent=ticket.agent))
    return text(language, f"desk.{ticket.status}")


def waiting(then: datetime, now: datetime, language: str) -> str:
    """How long somebody waits, in the largest whole unit."""
    minutes = int((now - then).total_seconds() // 60)
    if minutes < 1:
        return text(language, "desk.now")
    for unit, size in (("days", 1440), ("hours", 60)):
        if minutes >= size:
            time = text(language, f"desk.{unit}", n=minutes // size)
            return text(language, "desk.waits", time=time)
    return text(language, "desk.waits", time=text(language, "desk.minutes", n=minutes))


def spoken(code: str, language: str) -> str:
    """The customer's language in words."""
    return text(language, "desk.language_zh" if code == "zh" else "desk.language_en")


def feeling(moods: Sequence[float]) -> str:
    """none, sunk, low, even or good."""
    if not moods:
        return "none"
    if mood.sunk(moods):
        return "sunk"
    return "low" if moods[-1] < -EVEN else "good" if moods[-1] > EVEN else "even"


def trend(moods: Sequence[float], language: str) -> str:
    """The latest moods as a line over the middle, -1 at the bottom; the last one is marked."""
    kind = feeling(moods)
    name = text(language, f"desk.mood_{kind}")
    if kind == "none":
        return f'<span class="trend none" role="img" aria-label="{name}" title="{name}">–</span>'
    points = _points(moods[-_LATEST:])
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="trend {kind}" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" aria-label="{name}"><title>{name}</title>'
        f'<path class="zero" d="M2 {_HEIGHT / 2}H{_WIDTH - 2}"/><polyline points="{line}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/></svg>'
    )


def _points(moods: Sequence[float]) -> list[tuple[float, float]]:
    step = (_WIDTH - 10) / max(1, len(moods) - 1)
    half = _HEIGHT / 2
    place = [5 + n * step for n in range(len(moods))] if len(moods) > 1 else [_WIDTH / 2]
    values = (max(-1.0, min(1.0, m)) for m in moods)
    return [(x, half - m * (half - 4)) for x, m in zip(place, values, strict=True)]


def chosen(language: str) -> str:
    """Before a ticket is chosen."""
    return f'<div class="desk-none"><p>{text(language, "desk.choose")}</p></div>'


def detail(opened: Opened, me: str, now: datetime, language: str) -> str:
    """What an agent needs to know before the first word."""
    ticket, packet = opened.ticket, opened.ticket.packet
    chips = (
        f'<span class="chip reason">{text(language, f"desk.{packet.reason}")}</span>'
        f'<span class="chip">{spoken(packet.language, language)}</span>'
        f'<span class="chip">{waiting(ticket.created, now, language)}'
        f'</span><span class="chip">{who(ticket, me, language)}</span>'
        f"{trend(packet.moods, language)}"
    )
    return (
        f'<div class="desk-detail"><div class="chips">{chips}</div>'
        f'<p class="summary">{escape(packet.summary)}</p>'
        f'<div class="facts">{_facts(packet, language)}'
        f"{_instead(opened.replacements, language)}</div></div>"
    )


def _facts(packet: Packet, language: str) -> str:
    rows = [(text(language, "desk.wants"), escape(handoff.wants(packet.intent, language)))]
    known = "".join(
        f"<li><i>{escape(handoff.slot(name, language))}</i> {escape(value)}</li>"
        for name, value in packet.slots.items()
    )
    articles = "".join(
        f"<li>{escape(e.get('title') or e.get('id', ''))}</li>" for e in packet.evidence
    )
    if known:
        rows.append((text(language, "desk.known"), f"<ul>{known}</ul>"))
    if articles:
        rows.append((text(language, "desk.evidence"), f"<ul>{articles}</ul>"))
    return "".join(f"<dl><dt>{name}</dt><dd>{value}</dd></dl>" for name, value in rows)


def _instead(replacements: Sequence[Replacement], language: str) -> str:
    if not replacements:
        return ""
    rows = "".join(
        f"<li><b>{escape(r.title)}</b>{f' €{r.price:.2f}' if r.price is not None else ''}"
        f"<small>{escape(r.reason)}</small></li>"
        for r in replacements
    )
    title = text(language, "desk.instead")
    return (
        f'<details class="instead"><summary>{title} ({len(replacements)})</summary>'
        f"<ul>{rows}</ul></details>"
    )


def talk(turns: Sequence[Turn], me: str, language: str) -> str:
    """All that was said until now, the latest last."""
    title = text(language, "desk.talk")
    if not turns:
        said = f'<div class="turn nothing">{text(language, "desk.nothing_said")}</div>'
    else:
        said = "".join(_said(turn, me, language) for turn in turns)
    return f'<div class="desk-talk" tabindex="0" role="log" aria-label="{title}">{said}</div>'


def _said(turn: Turn, me: str, language: str) -> str:
    if turn.author:
        kind = "agent"
        name = text(language, "desk.you") if turn.author == me else escape(turn.author)
    else:
        kind = "customer" if turn.role == "user" else "bot"
        name = text(language, f"desk.{kind}")
    at = turn.created.strftime("%H:%M")
    return (
        f'<div class="turn {kind}"><span class="name">{name} <time>{at} UTC</time></span>'
        f"{bubble(turn.content)}</div>"
    )


def intro(language: str) -> str:
    """What the tab is for."""
    return (
        f'<div class="intro"><h2>{text(language, "desk.title")}</h2>'
        f"<p>{text(language, 'desk.intro')}</p></div>"
    )
