"""How the page looks: fern green on cream, and on bark at night; no fonts or files from elsewhere.

Colours are chosen for WCAG AA (4.5 : 1 for text) in both modes; tests/test_page_words.py
computes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.ui.colours import COLOURS, variables

SANS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "PingFang SC", "Microsoft YaHei",
        "Noto Sans CJK SC", "sans-serif")  # fmt: skip
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# From leaf to root: what Gradio derives by itself (focus rings, selected tabs) comes from these.
_FERN = gr.themes.Color(
    "#f0f6ee", "#dcead9", "#bfd8c0", "#9cc5a4", "#72ad84", "#3f8259", "#2c6a45", "#21553a",
    "#1a442f", "#143524", "#0c2116", name="fern",
)  # fmt: skip


def mount_kwargs() -> dict[str, Any]:
    """What gr.mount_gradio_app is given for the looks: theme, css and the script in the head."""
    here = Path(__file__).parent
    script, css = (
        "".join((here / f"{name}.{kind}").read_text(encoding="utf-8") for name in ("page", "desk"))
        for kind in ("js", "css")
    )
    return {
        "theme": theme(),
        "css": variables() + css,
        "head": f"<script>{script}</script>",
    }


def theme() -> gr.themes.Base:
    """Gradio's own widgets in our colours."""
    day = {name: pair[0] for name, pair in COLOURS.items()}
    night = {name: pair[1] for name, pair in COLOURS.items()}
    ours = gr.themes.Base(primary_hue=_FERN, font=SANS, font_mono=MONO)
    by_day, by_night = _widgets(day), _widgets(night)
    return ours.set(
        **by_day, **{f"{name}_dark": value for name, value in by_night.items()},
        color_accent="var(--fk-fern)",
        input_border_width="1px", button_border_width="1px",
        button_large_text_weight="600", button_large_text_size="*text_md",
    )  # fmt: skip


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast of two #rrggbb colours, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _widgets(c: dict[str, str]) -> dict[str, str]:
    return {
        "body_background_fill": c["ground"],
        "body_text_color": c["ink"],
        "body_text_color_subdued": c["faded"],
        "background_fill_primary": c["surface"],
        "background_fill_secondary": c["surface"],
        "border_color_primary": c["line"],
        "border_color_accent": c["fern"],
        "border_color_accent_subdued": c["line"],
        "color_accent_soft": c["leaf"],
        "block_background_fill": c["surface"],
        "block_border_color": c["line"],
        "block_label_background_fill": c["surface"],
        "block_label_text_color": c["faded"],
        "block_title_text_color": c["ink"],
        "block_info_text_color": c["faded"],
        "panel_background_fill": c["surface"],
        "input_background_fill": c["surface"],
        "input_background_fill_focus": c["surface"],
        "input_border_color": c["edge"],
        "input_border_color_focus": c["fern"],
        "input_placeholder_color": c["faded"],
        "button_primary_background_fill": c["fern"],
        "button_primary_background_fill_hover": c["fern_deep"],
        "button_primary_border_color": c["fern"],
        "button_primary_text_color": c["on_fern"],
        "button_primary_text_color_hover": c["on_fern"],
        "button_secondary_background_fill": c["surface"],
        "button_secondary_background_fill_hover": c["leaf"],
        "button_secondary_border_color": c["edge"],
        "button_secondary_border_color_hover": c["fern"],
        "button_secondary_text_color": c["ink"],
        "button_secondary_text_color_hover": c["ink"],
        "checkbox_background_color": c["surface"],
        "checkbox_background_color_selected": c["fern"],
        "checkbox_border_color": c["edge"],
        "checkbox_border_color_selected": c["fern"],
        "checkbox_label_background_fill": c["surface"],
        "checkbox_label_background_fill_hover": c["leaf"],
        "checkbox_label_background_fill_selected": c["leaf"],
        "checkbox_label_border_color": c["line"],
        "checkbox_label_text_color": c["ink"],
        "checkbox_label_text_color_selected": c["ink"],
        "link_text_color": c["fern"],
        "link_text_color_hover": c["fern_deep"],
        "link_text_color_active": c["fern_deep"],
        "link_text_color_visited": c["fern"],
        "loader_color": c["fern"],
        "slider_color": c["fern"],
        "stat_background_fill": c["fern"],
    }


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
