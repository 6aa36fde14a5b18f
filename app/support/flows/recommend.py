"""Recommend me something: products that are in stock, each with the recommender's reason."""

from __future__ import annotations

import re

from app.core.errors import AppError
from app.support.flows.base import Flow, Said, Talk, Tools

SHOWN = 3
_MAX = 300
_AVOIDS = re.compile(
    r"\ballerg|\bintoleran|\bcoeliac|\bceliac|\bmedicat|\bblood pressure|\btoddler|\bbab(?:y|ies)\b"
    r"|\b(?!(?:feel|for|with|duty|hassle|stress)[ -])\w+[ -]free\b(?! (?:shipping|delivery))"
    r"|\bwithout\b|\bvegan|\bvegetarian|\bhalal\b|\bkosher\b"
    r"|\bgluten|\blactose|\bdiabet|\bpregnan|\bbreast ?feed|\b(?:can't|cannot|mustn't|must not"
    r"|do(?:es)?n't|do(?:es)? not) (?:eat|drink|like|tolerate|want (?!to (?:spend|pay)\b))"
    r"|\b(?:can't|cannot|mustn't|must not) have\b"
    r"|\bhates?\b|\bavoid|\bexcept\b|\bother than\b|\banything but\b"
    r"|\b(?:not|no) (?!rush\b|hurry\b|preference\b|clue\b|need\b|picky\b|fussy\b|over\b|above\b"
    r"|more\b|used\b|an? |much\b|for me\b|too\b|very\b|so\b|that\b"
    r"|sure\b|more\b|idea\b|matter\b|longer\b|only\b|expensive\b)\w"
    r"|过敏|不耐受|不含|不带|无(?:糖|咖啡因|麸质|乳糖)|(?<!要)不要(?!太?贵|超过|紧)|不想要"
    r"|不喜欢|不能?[吃喝](?!惯)|除了|没有?咖啡因|忌|敏感|血压|宝宝|吃药|服药|怀孕|孕妇|孕期"
    r"|哺乳|素食|纯素|清真|糖尿",
    re.IGNORECASE,
)
"""What is to be avoided: search would offer just that, and what is safe for somebody is not for a
recommender to say. The articles answer, or decline."""


class Recommend(Flow):
    """See the module."""

    name = "recommend"
    title = ("recommendation", "推荐")
    starts = (
        r"\b(?:recommend|suggest)(?: me| us)? (?:a|an|some|something|any|one|good|coffee|tea)\b",
        r"\b(?:can|could|would|do) you (?:recommend|suggest)\b(?! (?:for|that)\b)|\brecommend me\b",
        r"\bwhat (?:would|do|can) you (?:recommend|suggest)\b",
        r"\bi(?:'m| am) looking for (?:a|an|some|something)\b.{0,30}\b(?:gift|present|coffee|tea|"
        r"kettle|grinder|mug|espresso|decaf)\b",
        r"(?:请|给我|帮我|能|可以|求|想要|^\W*)(?:你|您)?.{0,4}推荐",
    )

    def asks_about(self, text: str) -> bool:
        """Also where something is to be avoided."""
        return bool(_AVOIDS.search(text)) or super().asks_about(text)

    def available(self, tools: Tools) -> bool:
        """With a recommender."""
        return tools.shop() is not None

    def do(self, talk: Talk) -> Said:
        """The best three; where nothing answers, what is popular."""
        shop = talk.tools.shop()
        assert shop is not None
        try:
            found = shop.suggest(query=talk.text[:_MAX], k=SHOWN, language=talk.language)
            lead = ("For that I would take:", "我会推荐这几样：")
            if not found:
                found = shop.suggest(query=None, k=SHOWN, language=talk.language)
                lead = (
                    "I find nothing just like that. Many customers take:",
                    "没有找到完全符合的商品，不过很多顾客喜欢这几样：",
                )
        except AppError as error:
            return Said(error.in_language(talk.language))
        lines = [
            f"• {s.title}"
            + (f", €{s.price:.2f}" if s.price is not None else "")
            + talk.say(f" ({s.reason})", f"（{s.reason}）")
            for s in found
        ]
        return Said("\n".join([talk.say(*lead), *lines]))


FLOW = Recommend()
