"""Somebody may be hurt: said before anything else, since no help article is an ambulance."""

from __future__ import annotations

import re

from app.core.language import simplified

_EMERGENCY = re.compile(
    r"\b(?:swallow|drank|drunk|drinking|ate|eaten|eating|lick|ingest"
    r"|inhal)\w*\b[^,.;?!]{0,40}\b(?:descal\w*|cleaner"
    r"|cleaning (?:agent|fluid|liquid|powder|tablet)s?"
    r"|detergent|"
    r"chemical\w*|bleach|poison|glue|silica|magnet|batter(?:y|ies))\b"
    r"|\bpoison(?:ed|ing)\b|\b(?:can't|cannot|can not|struggling to|trouble) breath\w*"
    r"|\banaphyla\w+|\b(?:got|gets|having|have|had|has)\b.{0,15}\ballergic (?:reaction|shock)"
    r"|\b(?:burn(?:t|ed)|scalded)\b.{0,15}\b(?:hands?|arms?|fingers?|face|skin|mouth"
    r"|tongue|legs?|"
    r"foot|feet|myself|himself|herself|child|baby|son|daughter)\b"
    r"|\belectrocut\w+|\b(?:got|had|gave|given|felt)\b.{0,15}\belectric(?:al)? shock"
    r"|\b(?:caught|is on|on) fire\b|\bchoking\b(?! (?:hazard|risk))|\b(?:descal\w*|cleaner"
    r"|bleach)\b.{0,15}\b(?:eyes?|swallowed|drunk)\b"
    r"|\bbleeding\b(?! (?:colou?r|ink|through|into))"
    r"|\b(?:kill|hurt|harm)(?:ing)? myself\b|\bsuicid|\bi want to die\b|\bunconscious\b"
    r"|误[食服饮吞]|[喝吃吞][了到下进].{0,6}(?:除垢|清洁剂|洗涤剂|干燥剂|电池|磁铁)"
    r"|(?:除垢[剂液粉]|清洁剂|洗涤剂|干燥剂|电池|磁铁).{0,8}(?:[喝吃吞舔][了下进掉]|眼睛)"
    r"|(?<![会能防])中毒"
    r"|喘不[过上]气|呼吸困难|过敏性?休克"
    r"|(?:出现|(?<!会)有|起)了?.{0,4}过敏反应|(?<![会能防免])(?:烫伤|烧伤|触电)|着火了"
    r"|(?<![一会])起火|自杀|不想活(?!动)|我?想死(?![我你他她了])|昏迷|喉咙.{0,2}肿",
    re.IGNORECASE,
)
_IN_DANGER = {
    "en": "If anybody is in danger, please call the emergency number now (112 in Europe, 999 in "
    "the UK, 911 in North America) or a poison centre, and keep the packaging at hand. I am the "
    "program of a shop and cannot judge this. For everything else, a person here can help.",
    "zh": "如果有人有危险，请马上拨打急救电话（中国 120，欧洲 112），并把包装留在手边。"
    "我只是小店的帮助程序，没有能力判断这种情况。其他的事情，可以转人工处理。",
}


def emergency(text: str, language: str) -> str | None:
    """What is said where somebody may be hurt, before anything else; None: nothing tells so."""
    return _IN_DANGER[language] if _EMERGENCY.search(simplified(text).replace("’", "'")) else None
