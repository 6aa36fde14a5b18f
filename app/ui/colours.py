"""The page's colours by day and by night; no Gradio here, the login page needs them without it."""

from __future__ import annotations

# name: (by day, by night)
COLOURS = {
    "ground": ("#f6f1e4", "#131915"),
    "surface": ("#fffdf8", "#1c241f"),
    "sunken": ("#efe8d6", "#18201b"),
    "line": ("#d9cfb8", "#38453c"),
    "edge": ("#8d8468", "#728275"),
    "ink": ("#232d26", "#ece7d8"),
    "faded": ("#566052", "#a9b4a7"),
    "fern": ("#2c6a45", "#8fcba3"),
    "fern_deep": ("#21553a", "#a9dab8"),
    "on_fern": ("#ffffff", "#10211a"),
    "leaf": ("#dcead9", "#26382d"),
    "copper": ("#8a4b14", "#e2a76c"),
    "honey": ("#fbedc6", "#3a2f16"),
    "clay": ("#a3372b", "#f0998c"),
}


def variables(day: str = ":root", night: str = ".dark") -> str:
    """The colours as CSS variables, such as `var(--fk-fern)`, under two selectors."""

    def block(selector: str, index: int) -> str:
        lines = "".join(f"--fk-{n.replace('_', '-')}:{p[index]};" for n, p in COLOURS.items())
        return f"{selector}{{{lines}}}\n"

    return block(day, 0) + block(night, 1)
