"""What customers call things, in the catalogue's English: Chinese words and a few English phrases.

The encoder knows no Chinese. This is a table and not a translator: a word that it does not hold is
not searched for, and a query without a known word finds nothing. Put your own trade's words here.
"""

from __future__ import annotations

import re

ENGLISH = {
    "without caffeine": "decaf herbs",
    "no caffeine": "decaf herbs",
    "caffeine free": "decaf herbs",
    "caffeine-free": "decaf herbs",
    "decaffeinated": "decaf",
    "herbal": "herbs",
    "present": "gift",
    "presents": "gift",
    "smoky": "smoke",
    "smoked": "smoke",
}
CHINESE = {
    "手冲": "pour-over dripper",
    "滤杯": "pour-over dripper",
    "滤纸": "paper filters",
    "挂耳": "drip bags",
    "磨豆机": "grinder",
    "研磨": "grinder",
    "摩卡壶": "moka pot",
    "细嘴壶": "gooseneck kettle",
    "热水壶": "kettle",
    "除垢": "descaler",
    "电子秤": "scale",
    "奶缸": "milk jug",
    "拉花": "milk jug",
    "压粉": "tamper",
    "冷萃": "cold brew",
    "冰咖啡": "cold brew coffee",
    "低因": "decaf",
    "脱因": "decaf",
    "无咖啡因": "decaf herbs",
    "浓缩": "espresso",
    "意式": "espresso",
    "拼配": "blend",
    "单品": "single origin coffee",
    "咖啡豆": "coffee",
    "咖啡": "coffee",
    "埃塞俄比亚": "Ethiopia",
    "哥伦比亚": "Colombia",
    "肯尼亚": "Kenya",
    "危地马拉": "Guatemala",
    "苏门答腊": "Sumatra",
    "茶筅": "matcha whisk",
    "茶碗": "matcha bowl",
    "抹茶": "matcha",
    "绿茶": "green tea sencha",
    "煎茶": "sencha",
    "玄米茶": "genmaicha",
    "红茶": "black tea breakfast",
    "早餐茶": "breakfast tea",
    "伯爵": "earl grey",
    "大吉岭": "darjeeling",
    "正山小种": "lapsang smoked",
    "乌龙": "oolong",
    "茉莉": "jasmine",
    "花草茶": "herbs",
    "草本": "herbs",
    "冰茶": "iced tea",
    "茶壶": "teapot",
    "茶漏": "tea infuser",
    "茶罐": "tea tin",
    "茶叶": "tea",
    "茶": "tea",
    "马克杯": "mug",
    "随行杯": "travel cup",
    "保温杯": "travel cup",
    "玻璃杯": "tumblers glass",
    "杯子": "cup mug",
    "杯": "cup mug",
    "碗": "bowl",
    "盘": "plates",
    "餐具": "tableware",
    "壶": "kettle pot",
    "可可": "cocoa",
    "巧克力": "chocolate",
    "饼干": "biscotti biscuit",
    "司康": "scone",
    "棉花糖": "marshmallows",
    "焦糖": "caramels",
    "糖果": "caramels",
    "蜂蜜": "honey",
    "果酱": "jam",
    "零食": "pantry bars biscotti",
    "甜": "sweet",
    "礼盒": "gift box",
    "礼物": "gift box",
    "送礼": "gift box",
    "礼品": "gift box",
    "蜡烛": "candle",
    "茶巾": "tea towel",
    "笔记本": "notebook",
    "家居": "home",
    "果香": "fruity",
    "花香": "floral",
    "坚果": "nuts",
    "烟熏": "smoke",
    "深烘": "dark roast",
    "浅烘": "light roast",
    "旅行": "travel",
    "圣诞": "December gift",
}
CATEGORIES = {
    "Coffee": "咖啡",
    "Tea": "茶",
    "Brewing Gear": "冲泡器具",
    "Cups & Tableware": "杯与餐具",
    "Pantry": "食品柜",
    "Gifts & Home": "礼品与家居",
}
WORDS = ENGLISH | CHINESE
# Longer words first, so that 抹茶 is not read as 茶.
_LONGEST = sorted(WORDS, key=len, reverse=True)
_KNOWN = re.compile(
    "|".join(rf"\b{re.escape(w)}\b" if w.isascii() else re.escape(w) for w in _LONGEST),
    re.IGNORECASE | re.ASCII,
)


def take(query: str) -> tuple[dict[str, str], str]:
    """({the customer's word: English words} in order, the query without them)."""
    found = dict.fromkeys(word.lower() for word in _KNOWN.findall(query))
    return {word: WORDS[word] for word in found}, _KNOWN.sub(" ", query)


def category_name(category: str, language: str) -> str:
    """What a category is called in `language`; a category without a Chinese name keeps its own."""
    return CATEGORIES.get(category, category) if language.startswith("zh") else category
