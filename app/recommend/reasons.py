"""Why a product is shown, in the customer's language; each sentence only where it is true."""

from __future__ import annotations

from app.recommend.lexicon import category_name

_SENTENCES = {
    "liked": ("Because you like {}", "因为您喜欢 {}"),
    "bought": ("Because you bought {}", "因为您买过 {}"),
    "matches": ("Matches “{}”", "与“{}”相符"),
    "near": ("Close to what you describe", "与您的描述相近"),
    "popular": ("Popular with our customers", "很受我们顾客欢迎"),
    "shelf": ("From our shelf: {}", "来自我们的货架：{}"),
    "shop": ("From our shop", "来自我们的小店"),
}


def sentence(kind: str, language: str, about: str = "") -> str:
    """The reason `kind` in English or Chinese, about a title or the customer's own words."""
    english, chinese = _SENTENCES[kind]
    return (chinese if language.startswith("zh") else english).format(about)


def shelf(category: str, language: str) -> str:
    """What can always be said: where the product stands."""
    if not category:
        return sentence("shop", language)
    return sentence("shelf", language, category_name(category, language))


def matches(words: tuple[str, ...], language: str) -> str:
    """The customer's words that the product holds; without one, it is near by its meaning."""
    if not words:
        return sentence("near", language)
    return sentence("matches", language, ("、" if language.startswith("zh") else ", ").join(words))
