"""Names and postal addresses as people write them to a shop: announced, signed, or by their form.

A name is found where something says that it is one ("my name is", "Mrs", "Regards,", 收件人), for a
bare name looks like any other capitalised word, and half of a tea shop's goods are capitalised. A
postal address is found by a street with a number, in English, German, French, Dutch, Spanish,
Italian and Chinese, with what follows it up to a postcode or a town; and by a British postcode.
Read as typed, since capitals tell a name. Every finding is shorter than 400 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = r"(?:[^\W\d_a-zß-öø-ÿ][^\W\d_]*(?:['’-][^\W\d_]+){0,3}|(?<=\s)[^\W\d_a-zß-öø-ÿ]\.)"
_LINK = r"(?:\s(?:van|von|de|der|den|da|di|del|la|le|bin|al|ter|zu|dos|el))"
_ONE = rf"{_WORD}(?:{_LINK}{{0,2}}[^\S\n]{_WORD}){{0,3}}"
_TWO = rf"{_WORD}(?:{_LINK}{{0,2}}[^\S\n]{_WORD}){{1,3}}"
_END = r"(?=\s*(?:[,.;:!?)\n]|$|\b(?:and|from|here|speaking|calling|with|who|but|my|i|in|at)\b))"
_NO_NAME = re.compile(
    r"(?i:team|all|there|sir|madam|support|customer|everyone|everybody|folks|friends|service|shop|"
    r"guys|both|again|the|a|an|i|we|not|very|so|just|your|you|my|from|and|is|it|this|that|what|"
    r"please|order|tea|coffee|kettle|fern)$"
)
"""First words of what looks like a name behind an announcement and is none."""
_NAMES = (
    rf"(?i:\b(?:my|his|her|full|first|last|family|maiden|middle|the) name(?:['’]s|\s+is|\s*[:=])"
    rf"|\bname\s*[:=?]|\bsurname(?:\s+is|\s*[:=?]))\s*({_ONE})",
    r"(?i:\bmy name is)\s+((?!(?:spelled|spelt|misspelled|written|not|still|on|in|wrong|missing)\b)"
    r"[a-z]{2,15} [a-z]{2,20})(?=\s*(?:[,.;!?\n]|$))",
    rf"(?i:\bcalled|\bname\s*[:=]\s|\b(?:billing|delivery|shipping|home|my|new|old) address\s*[:=]|"
    rf"\bname)\s+({_TWO})",
    rf"(?:^|\n)[>\s]*({_TWO})\s*\n[^\n]{{0,60}}\n?[>\s]*(?=\d{{1,6}}[^\S\n][^\n]*[A-Z])",
    rf"(?i:\b(?:i am|i['’]m|im|this is|my wife|my husband|my son|my daughter|my mother|my father|"
    rf"my partner|my colleague|my neighbou?r))\s+({_TWO}){_END}",
    rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Herrn?|Frau|Madame|Mme|Monsieur|Señora?|Sra?)\.?"
    rf"[^\S\n]+({_ONE})",
    rf"(?:^|\n)[^\S\n]*(?i:dear|hi|hello|hey)[^\S\n]+({_ONE})(?=\s*[,!\n])",
    rf"(?i:\b(?:regards|wishes|sincerely|cheers|thanks|thank you|yours|greetings|love))"
    rf"\s*[,!.\n-]\s*({_ONE})\s*\.?(?=\n|$)",
    rf"(?i:\b(?:recipient|addressee|addressed to|on behalf of|in the name of|under the name(?: "
    rf"of)?|account holder|card ?holder|attn|attention|c/o|signed for by|registered to))"
    rf"\s*[:=]?\s*(?:is\s+)?({_TWO})",
)  # fmt: skip

_ADDRESSED = (
    r"(?i:\b(?:address(?:\s+(?:for \w+|of [\w. '’-]{1,40}))?(?:\s+is(?:\s+now)?|\s*[:=])"
    r"|lives? (?:at|on)|(?:i|we) (?:have )?moved to))\s+"
    r"((?=[^;?!\n]{0,90}\d)(?=[^;?!\n]{0,30}(?:[A-ZÀ-Þ]|(?i:street|road|avenue|lane|drive)\b))"
    r"[^;?!\n]{4,110}?)"
    r"(?=[.;?!]?\s*(?:\n|$)|[.;?!]\s|\s(?:and|but|so|please|thank)\b)"
)
"""What follows "my address is", to the end of the sentence, where it has a number, and a capital
or a street."""
_HAN = r"[\u4e00-\u9fff]"
_SURNAMES = (
    "(?:欧阳|司马|上官|诸葛|[王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧肖田董袁潘于"
    "蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付傅方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛"
    "郝龚邵万钱严覃武戴莫孔向汤])"
)
_ZH_END = r"(?=[\s，。,、;；:：！!?？）)\d]|$|的|电话|手机|地址)"
_ZH_NAMES = (
    rf"(?:我叫|名字(?:是|叫)|姓名(?:是)?[:：])\s*((?![了你您他她它什啥谁不人车我]){_HAN}{{2,4}}?){_ZH_END}",
    rf"(?:我是|本人|(?:收件|收货|联系|持卡|开户)人(?:姓名|名字)?(?:是|叫)?[:：]?|户名[:：]?|寄给|转交|名叫)\s*"
    rf"({_SURNAMES}{_HAN}{{1,2}}|{_HAN}{{1,6}}·{_HAN}{{1,6}}){_ZH_END}",
    rf"({_SURNAMES}{_HAN}{{0,2}}?)(?=先生|女士|小姐|太太)",
)

_ZH_ROOM = r"(?:[\s,，]?[\dA-Za-z一-十]{1,5}\s*(?:号楼|栋|幢|座|单元|室|楼|层|号|户))"
_ZH_TO = re.compile(rf"{_HAN}*[到在是址往住至成给]")
"""What stands before a Chinese address, and no space parts from it: "sent to", "lives in"."""
_STREET = (
    r"Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Way|Court|Ct|Place|Pl|Row|Close|Terrace|Square|"
    r"Sq|Gardens|Gdns|Crescent|Cres|Boulevard|Blvd|Hill|Mews|Quay|Walk|Parade|Circle|Cir|Trail|"
    r"Highway|Hwy|Grove|Green|Park|View|Loop|Alley|Path|Run|Ridge|Point|Plaza|Parkway|Pkwy|Rise"
)
_POSTCODE = r"[A-Z]{1,2}\d[A-Z\d]?[^\S\n]\d[A-Z]{2}"
_TOWN = r"[^\W\d_][\w'’.-]{0,60}(?:[^\S\n][A-ZÀ-Þ][\w'’.-]{0,60}){0,3}"
_FLAT = r"(?:,?\s*(?:Apt|Apartment|Flat|Suite|Ste|Unit|Floor|Room|#)\.?[^\S\n]*\w{1,6})?"
_TAIL = (
    rf"{_FLAT}(?:\s*,\s*|\s+)?(?:(?:{_TOWN}\s*,?\s*)?(?:{_POSTCODE}|[A-Z]{{2}}[^\S\n]+\d{{5}}(?:-\d{{4}})?"
    rf"|\d{{4,5}}(?:[^\S\n]?[A-Z]{{2}})?\b(?:[^\S\n]{_TOWN})?))?"
)
_NUMBER = r"\d{1,5}[a-zA-Z]?(?:[-/]\d{1,4}[a-zA-Z]?)?"
_ADDRESSES = (
    _ADDRESSED,
    rf"(?<![\w.,-])({_NUMBER}[^\S\n]+(?:\d{{1,5}}[^\S\n]+)?[^\W\d_][^\n,?!]{{1,50}}?,?\s+"
    rf"(?i:apt|apartment|flat|suite|unit)\b\.?[^\S\n]*\d{{1,5}}(?:[>\s]*,?[>\s]*[A-ZÀ-Þ][^\n\d,?!]{{1,40}})"
    rf"{{0,3}}(?:,?[^\S\n]*\d{{4,6}}\b)?)",
    rf"(?<![\w.,-])((?:(?:Flat|Apt|Apartment|Unit|Suite)[^\S\n]+\w{{1,5}},?[^\S\n]+)?{_NUMBER},?[^\S\n]+"
    rf"(?:[A-ZÀ-Þ][\w'’.-]{{0,60}}[^\S\n]+){{1,4}}(?:{_STREET})\b\.?{_TAIL})",
    rf"(?<!\w)([A-ZÄÖÜ][\w.-]{{0,60}}(?i:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse|ring|damm|ufer|straat|laan|"
    rf"gracht|plein|kade|dijk)[^\S\n]+{_NUMBER}\b{_TAIL})",
    rf"(?<!\w)([A-ZÄÖÜ][\w-]{{1,60}}[^\S\n](?:Straße|Strasse|Str\.|Weg|Platz|Allee|Gasse|Ring|Damm|Ufer)"
    rf"[^\S\n]+{_NUMBER}\b{_TAIL})",
    rf"(?<!\w)({_NUMBER}[^\S\n]*,?[^\S\n]+(?i:rue|avenue|boulevard|place|chemin|impasse|allée|quai|cours)[^\S\n]+"
    rf"(?:(?:de|du|des|la|le|les|d['’])[^\S\n]*){{0,2}}{_TOWN}{_TAIL})",
    rf"(?<!\w)((?:Via|Viale|Piazza|Corso|Calle|Avenida|Plaza|Paseo|Rua|Carrer)[^\S\n]+(?:(?:de|del|della|la|"
    rf"los|las|da|do)[^\S\n]+){{0,2}}{_TOWN},?[^\S\n]+{_NUMBER}\b{_TAIL})",
    r"\b((?i:p\.?[^\S\n]?o\.?[^\S\n]?box)[^\S\n]+\d{1,6})",
    rf"(?<![\w-])({_POSTCODE})(?!\w)",
    rf"({_HAN}{{0,24}}(?:路|街|大道|巷|弄|胡同)(?:[东南西北中]段)?\s*[甲乙丙]?\d{{1,5}}\s*(?:号|弄)"
    rf"(?:{_HAN}{{2,8}}(?:大厦|广场|公寓|小区|中心|花园))?{_ZH_ROOM}{{0,4}}(?:\d{{3,4}}(?!\d))?)",
    rf"({_HAN}{{1,12}}[省市区县]{_HAN}{{2,12}}(?:小区|花园|新村|苑|大厦|广场|公寓)\s*\d{{1,4}}\s*"
    rf"(?:号楼|栋|幢|座|号){_ZH_ROOM}{{0,3}})",
)
_FORMS = (
    *(("NAME", re.compile(pattern)) for pattern in (*_NAMES, *_ZH_NAMES)),
    *(("ADDRESS", re.compile(pattern)) for pattern in _ADDRESSES),
)


def find(text: str) -> Iterator[tuple[str, int, int]]:
    """(NAME or ADDRESS, start, end) in `text`; they may overlap."""
    for kind, pattern in _FORMS:
        for match in pattern.finditer(text):
            start, end = match.span(1)
            if kind == "NAME" and _NO_NAME.match(match.group(1).split()[0]):
                continue
            before = _ZH_TO.match(text, start, end) if kind == "ADDRESS" else None
            yield kind, before.end() if before else start, len(text[:end].rstrip(" ,.\n"))
