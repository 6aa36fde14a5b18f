"""The login page: one form that needs neither Gradio nor script, in the page's own dress."""

from __future__ import annotations

from html import escape

from app.ui.i18n import other, text
from app.ui.plain import document


def page(shop: str, language: str, wrong: str = "", name: str = "") -> str:
    """The form; `wrong` says why it is shown again, `name` is what was typed."""
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    body = (
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
    )
    return document(shop, language, text(language, "login.title"), body)


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
