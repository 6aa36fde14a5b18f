"""The login page: one form that needs neither Gradio nor script, in the page's own dress."""

from __future__ import annotations

from html import escape

from app.ui.colours import variables
from app.ui.i18n import HTML_LANG, other, text

_CSS = """
* { box-sizing: border-box; }
body { margin: 0; min-height: 100dvh; display: grid; place-items: center; padding: 24px 14px;
  background: var(--fk-ground); color: var(--fk-ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "PingFang SC",
  "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main { width: 100%; max-width: 400px; padding: 26px 28px 28px; border: 1px solid var(--fk-line);
  border-radius: 14px; background: var(--fk-surface); }
h1 { margin: 0 0 4px; font: 600 26px/1.2 "Iowan Old Style", "Palatino Linotype", Palatino, Georgia,
  "Noto Serif", "Noto Serif CJK SC", "Songti SC", serif; }
p { margin: 0 0 16px; color: var(--fk-faded); }
p.wrong { padding: 9px 14px; border: 1px solid var(--fk-clay); border-radius: 10px;
  color: var(--fk-clay); }
label { display: block; margin-bottom: 14px; font-weight: 600; }
input { display: block; width: 100%; margin-top: 5px; padding: 11px 13px; font: inherit;
  font-size: 16px; font-weight: 400; color: inherit; background: var(--fk-surface);
  border: 1px solid var(--fk-edge); border-radius: 10px; }
button { width: 100%; padding: 11px; border: 0; border-radius: 10px; font: inherit;
  font-weight: 600; color: var(--fk-on-fern); background: var(--fk-fern); cursor: pointer; }
button:hover { background: var(--fk-fern-deep); }
:focus-visible { outline: 3px solid var(--fk-fern); outline-offset: 2px; }
nav { display: flex; justify-content: space-between; gap: 16px; margin-top: 18px; font-size: 13px; }
a { color: var(--fk-fern); }
"""
# The theme that was chosen on the page wins over the system's, as it does there.
_SCRIPT = """try { const mode = localStorage.getItem("frontdesk.theme");
if (mode) document.documentElement.className = mode; } catch { /* private window */ }"""


def page(language: str, wrong: str = "", name: str = "") -> str:
    """The form; `wrong` says why it is shown again, `name` is what was typed."""
    by_night = variables(":root.light", ":root:not(.light)").split("\n")[1]
    colours = f"{variables(':root', ':root.dark')}@media (prefers-color-scheme: dark){{{by_night}}}"
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    return (
        f'<!doctype html>\n<html lang="{HTML_LANG[language]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        f"<title>{text(language, 'login.title')} · Fern &amp; Kettle</title>"
        f"<style>{colours}{_CSS}</style><script>{_SCRIPT}</script></head>\n<body><main>"
        f"<h1>{text(language, 'login.title')}</h1><p>{text(language, 'login.intro')}</p>{told}"
        f'<form method="post" action="login?lang={language}">'
        f"<label>{text(language, 'login.name')}"
        f'<input name="name" value="{escape(name)}" required maxlength="64" '
        f'autocomplete="username" autocapitalize="none" spellcheck="false" autofocus></label>'
        f"<label>{text(language, 'login.password')}"
        '<input name="password" type="password" required maxlength="256" '
        'autocomplete="current-password"></label>'
        f"<button>{text(language, 'login.send')}</button></form>"
        f'<nav><a href="./">{text(language, "login.back")}</a>'
        f'<a href="login?lang={other(language)}">{text(language, "page.other_language")}</a></nav>'
        "</main></body></html>\n"
    )


_ROLES = {"customer": "role.customer", "agent": "role.agent", "admin": "role.admin"}


def account(name: str | None, role: str, language: str) -> str:
    """Who is logged in, with the way out; nothing for a visitor."""
    if name is None:
        return ""
    return (
        f'<form class="account" method="post" action="logout"><span>{escape(name)} '
        f"({text(language, _ROLES[role])})</span>"
        f"<button>{text(language, 'login.out')}</button></form>"
    )
