"""Pages that need neither Gradio nor a script of theirs, in the chat page's own dress."""

from __future__ import annotations

from html import escape

from app.ui.colours import variables
from app.ui.i18n import HTML_LANG

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
main.article { max-width: 680px; font-size: 16px; line-height: 1.65; }
main.article p { margin: 0 0 14px; color: inherit; white-space: pre-line; overflow-wrap: anywhere; }
main.article h1 { margin-bottom: 18px; }
main.article h2 { margin: 22px 0 6px; font-size: 19px; }
"""
# The theme that was chosen on the page wins over the system's, as it does there.
_SCRIPT = """try { const mode = localStorage.getItem("frontdesk.theme");
if (mode) document.documentElement.className = mode; } catch { /* private window */ }"""


def document(shop: str, language: str, title: str, body: str, kind: str = "") -> str:
    """A whole page; `shop` and `title` are texts, `body` is markup, `kind` a class of it."""
    by_night = variables(":root.light", ":root:not(.light)").split("\n")[1]
    colours = f"{variables(':root', ':root.dark')}@media (prefers-color-scheme: dark){{{by_night}}}"
    return (
        f'<!doctype html>\n<html lang="{HTML_LANG[language]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        f"<title>{escape(title)} · {escape(shop)}</title>"
        f"<style>{colours}{_CSS}</style><script>{_SCRIPT}</script></head>\n"
        f'<body><main class="{kind}">{body}</main></body></html>\n'
    )
