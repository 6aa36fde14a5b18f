"""Every word of the page, in English and Chinese, under one set of keys.

`text("zh", "chat.send")` is the word; `{name}` in a sentence is filled by keyword. What comes from
the catalogue or a model (a category, a label) goes through `word`, which falls back to the name.
"""

from __future__ import annotations

from typing import Any

LANGUAGES = ("en", "zh")
HTML_LANG = {"en": "en", "zh": "zh-CN"}

EN = {
    "page.title": "Fern & Kettle help desk",
    "brand.tagline": "Tea, coffee and the patience to make them. Port Ellery, since 2016.",
    "brand.synthetic": "Synthetic demo shop",
    "page.other_language": "中文",
    "page.theme": "Light / dark",
    "tab.chat": "Chat",
    "tab.sentiment": "Sentiment",
    "tab.recommend": "Recommendations",
    "tab.quality": "Quality",
    "status.waking": "The kettle is on: the model is waking up. Ask away, the first answer waits "
    "only for the boil.",
    "status.failed": "One of our models would not start ({features}). The rest works.",
    "status.swapped": "Freshly brewed: a newer model now serves {features}.",
    "feature.support": "chat",
    "feature.sentiment": "sentiment",
    "feature.recommend": "recommendations",
    "footer.synthetic": "Fern & Kettle is invented, and so are its customers, orders and prices.",
    "footer.releases": "Now serving",
    "footer.loading": "waking up",
    "footer.failed": "not available",
    "footer.api": "API",
    "footer.staff": "Staff login",
    "login.title": "Staff login",
    "login.intro": "For those who run this desk. Customers need no account.",
    "login.name": "Name",
    "login.password": "Password",
    "login.send": "Log in",
    "login.out": "Log out",
    "login.back": "Back to the desk",
    "role.customer": "customer",
    "role.agent": "agent",
    "role.admin": "admin",
    "quality.title": "How good is what we serve?",
    "quality.intro": "Each feature as it was measured before it was let out, by the very system "
    "that now serves. The mark is the value, the band around it where it would likely lie on other "
    "customers' questions.",
    "quality.between": "between {low} and {high}, n = {n}",
    "quality.source": "Evidence for",
    "quality.runs": "runs, not released",
    "quality.report": "Report",
    "quality.gate": "The gate",
    "quality.compare": "Comparison: {a} against {b}",
    "quality.ship": "may ship",
    "quality.block": "blocked",
    "quality.open": "inconclusive",
    "quality.none": "There is no report yet. `python -m eval run TASK --out runs/NAME` makes one.",
    "quality.unmeasured": "Not measured yet.",
    "quality.unreadable": "cannot be read",
    "quality.no_page": "Made before reports had pages: evaluate again to see the plots.",
    "chat.log": "Conversation",
    "chat.hello": "Good to see you.",
    "chat.intro": "Ask about delivery, returns, your subscription, or how hot the water should be. "
    "You are talking to a bot: it answers from our help articles and shows you which.",
    "chat.box": "Your question",
    "chat.ask": "Your question, please …",
    "chat.send": "Send",
    "chat.stop": "Stop",
    "chat.hint": "You are talking to a bot: check the article under the answer. Enter sends, "
    "Shift + Enter breaks the line, Esc stops.",
    "chat.new": "New conversation",
    "chat.list": "Your conversations",
    "chat.kept": "Kept for {days} days, visible to this browser only.",
    "chat.typing": "An answer is on its way",
    "chat.waking": "Waiting for the model to wake up",
    "chat.sources": "From our help articles",
    "chat.cancelled": "Stopped. This is as far as it got.",
    "chat.length": "Cut short at the limit for one answer.",
    "chat.error": "Interrupted before the answer was whole.",
    "chat.like": "Good answer",
    "chat.dislike": "Bad answer",
    "chat.example1": "How much is delivery to Germany?",
    "chat.example2": "My teapot arrived broken. What should I do?",
    "chat.example3": "How do I pause my subscription?",
    "chat.example4": "How hot should the water be for green tea?",
    "feedback.title": "What should it have said?",
    "feedback.answer": "A better answer",
    "feedback.answer_hint": "As you would tell a friend. Leave it empty to say no more.",
    "feedback.consent": "You may train on this",
    "feedback.consent_info": "Ticked, the question, the answer and your correction may be used to "
    "improve the model, after e-mail addresses, phone and card numbers are taken out (names and "
    "street addresses are not found for sure: please leave them out). Left unticked, no model "
    "learns from them. Either way they are deleted after {days} days.",
    "feedback.send": "Send correction",
    "feedback.cancel": "Close",
    "feedback.thanks": "Thank you, noted.",
    "feedback.liked": "Glad that helped.",
    "feedback.missing": "There is no answer to rate here any more.",
    "sentiment.title": "How does it sound?",
    "sentiment.intro": "Paste what somebody wrote about us. The model says whether they were "
    "pleased, how sure it is, and admits it when it is not. It has learned English only.",
    "sentiment.box": "A review, a comment, a mutter",
    "sentiment.placeholder": "The mug is lovely, but the parcel took two weeks and a detour …",
    "sentiment.run": "Read the mood",
    "sentiment.examples": "Or try one of these",
    "sentiment.example1": "Best decaf in years. I have stopped warning my guests.",
    "sentiment.example2": "Two weeks late, and the lid came in pieces.",
    "sentiment.example3": "A beautiful kettle. I only wish it did not drip.",
    "sentiment.example4": "It is a mug. It holds tea.",
    "sentiment.empty": "The verdict appears here.",
    "sentiment.bars": "How the model divides its bets",
    "sentiment.not_sure": "Not sure",
    "sentiment.leaning": "Leaning towards {label}, but only at {percent}: better that a person "
    "reads this one.",
    "sentiment.unread": "It has learned English only, so its guess here ({label}) is worth little: "
    "better that a person reads this one.",
    "sentiment.sure": "{percent} sure",
    "sentiment.wrong": "This is wrong",
    "sentiment.correct": "What is it really?",
    "label.positive": "Positive",
    "label.negative": "Negative",
    "label.neutral": "Neutral",
    "sentiment.consent_info": "Sending keeps this text with your correction for {days} days. "
    "Ticked, both may be used to improve the model, after e-mail addresses, phone and card numbers "
    "are taken out (please leave out names). Left unticked, no model learns from them.",
    "sentiment.choose": "Pick what it really is first.",
    "recommend.title": "What goes with what you like",
    "recommend.intro": "Name a few things you are fond of, or say what you are after. Every "
    "suggestion tells you why it is there.",
    "recommend.liked": "You like",
    "recommend.liked_info": "Type to search the shelves.",
    "recommend.query": "You are looking for",
    "recommend.query_placeholder": "something fruity for filter coffee, a present …",
    "recommend.category": "Category",
    "recommend.any": "Any",
    "recommend.query_info": "In your own words.",
    "recommend.max_price": "Price up to",
    "recommend.run": "Show me",
    "recommend.none": "Nothing on the shelves fits all of that. Try a higher price or another "
    "category.",
    "recommend.waking": "We are still unpacking the shelves. A moment.",
    "recommend.results": "{n} suggestions",
    "recommend.in_stock": "In stock",
    "recommend.few": "Only {n} left",
    "recommend.sold_out": "Sold out",
    "category.Coffee": "Coffee",
    "category.Tea": "Tea",
    "category.Brewing Gear": "Brewing Gear",
    "category.Cups & Tableware": "Cups & Tableware",
    "category.Pantry": "Pantry",
    "category.Gifts & Home": "Gifts & Home",
    "error.unexpected": "Something broke on our side, not yours. Please try again; if it stays "
    "broken, tell us this number: {id}",
    "error.number": "{message} (number {id})",
}

ZH = {
    "page.title": "Fern & Kettle 客服台",
    "brand.tagline": "好茶，好咖啡，外加一点耐心。2016 年起，在埃勒里港。",
    "brand.synthetic": "虚构的演示商店",
    "page.other_language": "English",
    "page.theme": "浅色 / 深色",
    "tab.chat": "对话",
    "tab.sentiment": "情感分析",
    "tab.recommend": "商品推荐",
    "tab.quality": "质量",
    "status.waking": "水正在烧：模型还在启动。您可以先提问，水一开就回答。",
    "status.failed": "有一个模型没能启动（{features}），其余功能照常。",
    "status.swapped": "刚刚换上新的模型：{features}。",
    "feature.support": "对话",
    "feature.sentiment": "情感分析",
    "feature.recommend": "商品推荐",
    "footer.synthetic": "Fern & Kettle 是虚构的商店，顾客、订单和价格也都是虚构的。",
    "footer.releases": "当前版本",
    "footer.loading": "启动中",
    "footer.failed": "不可用",
    "footer.api": "接口文档",
    "footer.staff": "员工登录",
    "login.title": "员工登录",
    "login.intro": "供管理客服台的同事使用，顾客无需账号。",
    "login.name": "用户名",
    "login.password": "密码",
    "login.send": "登录",
    "login.out": "退出",
    "login.back": "返回客服台",
    "role.customer": "顾客",
    "role.agent": "客服",
    "role.admin": "管理员",
    "quality.title": "我们提供的服务有多好？",
    "quality.intro": "每项功能在上线之前都用同一套系统测过。圆点是测得的数值，"
    "色带是换一批顾客的问题时它大概会落在的范围。报告正文为英文。",
    "quality.between": "{low} 到 {high} 之间，n = {n}",
    "quality.source": "查看哪一项",
    "quality.runs": "未发布的运行",
    "quality.report": "报告",
    "quality.gate": "发布检查",
    "quality.compare": "对比：{a} 与 {b}",
    "quality.ship": "可以发布",
    "quality.block": "不予发布",
    "quality.open": "尚无定论",
    "quality.none": "还没有报告。用 `python -m eval run TASK --out runs/NAME` 生成。",
    "quality.unmeasured": "还没有测量。",
    "quality.unreadable": "无法读取",
    "quality.no_page": "这份报告生成时还没有图表页面，重新评测即可看到。",
    "chat.log": "对话内容",
    "chat.hello": "您好，请坐。",
    "chat.intro": "运费、退货、订阅、水温，都可以问。和您说话的是机器人："
    "它只根据我们的帮助文章回答，并列出出处。",
    "chat.box": "您的问题",
    "chat.ask": "请说您的问题……",
    "chat.send": "发送",
    "chat.stop": "停止",
    "chat.hint": "和您说话的是机器人，请对照答案下面的文章。回车发送，Shift + 回车换行，Esc 停止。",
    "chat.new": "新对话",
    "chat.list": "您的对话",
    "chat.kept": "保留 {days} 天，只有这个浏览器能看到。",
    "chat.typing": "正在回答",
    "chat.waking": "正在等模型启动",
    "chat.sources": "出自帮助文章",
    "chat.cancelled": "已停止，只说到这里。",
    "chat.length": "回答到了长度或时间上限，到此为止。",
    "chat.error": "回答中途断了。",
    "chat.like": "答得好",
    "chat.dislike": "答得不好",
    "chat.example1": "寄到中国大陆要多少邮费？",
    "chat.example2": "收到的茶壶磕破了，怎么办？",
    "chat.example3": "下单以后多久能收到？",
    "chat.example4": "怎么修改收货地址？",
    "feedback.title": "应该怎么回答？",
    "feedback.answer": "更好的回答",
    "feedback.answer_hint": "像讲给朋友听那样写。只想说“不对”的话，可以留空。",
    "feedback.consent": "可以用于训练",
    "feedback.consent_info": "勾选后，问题、回答和您的更正在去掉邮箱、电话和卡号之后，"
    "可能用于改进模型（姓名和住址不一定能识别，请不要填写）。不勾选，不会用来训练任何模型。"
    "两种情况下都会在 {days} 天后删除。",
    "feedback.send": "提交更正",
    "feedback.cancel": "关闭",
    "feedback.thanks": "谢谢，已经记下。",
    "feedback.liked": "能帮上忙就好。",
    "feedback.missing": "这里已经没有可以评价的回答了。",
    "sentiment.title": "听起来心情如何？",
    "sentiment.intro": "粘贴别人对我们的评论。模型会判断对方满不满意、有多大把握，"
    "没把握时也会直说。它目前只学过英文。",
    "sentiment.box": "一段英文评论",
    "sentiment.placeholder": "The mug is lovely, but the parcel took two weeks and a detour …",
    "sentiment.run": "读一读心情",
    "sentiment.examples": "也可以试试这些",
    "sentiment.example1": "Best decaf in years. I have stopped warning my guests.",
    "sentiment.example2": "Two weeks late, and the lid came in pieces.",
    "sentiment.example3": "A beautiful kettle. I only wish it did not drip.",
    "sentiment.example4": "It is a mug. It holds tea.",
    "sentiment.empty": "结果会显示在这里。",
    "sentiment.bars": "模型的把握如何分配",
    "sentiment.not_sure": "拿不准",
    "sentiment.leaning": "偏向{label}，但只有 {percent} 的把握，这一条最好由人来看。",
    "sentiment.unread": "它只学过英文，在这里的猜测（{label}）不可靠，这一条最好由人来看。",
    "sentiment.sure": "{percent} 的把握",
    "sentiment.wrong": "判断有误",
    "sentiment.correct": "其实是？",
    "label.positive": "正面",
    "label.negative": "负面",
    "label.neutral": "中性",
    "sentiment.consent_info": "提交后，这段文字和您的更正会保存 {days} 天。勾选后，"
    "两者在去掉邮箱、电话和卡号之后可能用于改进模型（请不要填写姓名）。不勾选，不会用来训练任何模型。",
    "sentiment.choose": "请先选择它其实是什么。",
    "recommend.title": "喜欢这些的人，还会喜欢什么",
    "recommend.intro": "选几样您喜欢的，或者说说您在找什么。每一条推荐都写明理由。",
    "recommend.liked": "您喜欢",
    "recommend.liked_info": "输入英文商品名，在货架上找。",
    "recommend.query": "您在找",
    "recommend.query_info": "用自己的话说，中英文都可以。",
    "recommend.query_placeholder": "送给爱喝茶的人的礼物，做手冲的果香咖啡……",
    "recommend.category": "分类",
    "recommend.any": "不限",
    "recommend.max_price": "价格不超过",
    "recommend.run": "看看推荐",
    "recommend.none": "货架上没有同时符合这些条件的商品，试试提高价格或换个分类。",
    "recommend.waking": "货架还在整理，请稍等。",
    "recommend.results": "{n} 件推荐",
    "recommend.in_stock": "有货",
    "recommend.few": "仅剩 {n} 件",
    "recommend.sold_out": "售罄",
    "category.Coffee": "咖啡",
    "category.Tea": "茶",
    "category.Brewing Gear": "冲泡器具",
    "category.Cups & Tableware": "杯具与餐具",
    "category.Pantry": "食品",
    "category.Gifts & Home": "礼品与家居",
    "error.unexpected": "是我们这边出了问题。请再试一次；如果还不行，请告诉我们这个编号：{id}",
    "error.number": "{message}（编号 {id}）",
}

_WORDS = {"en": EN, "zh": ZH}


def text(language: str, key: str, **values: Any) -> str:
    """The words under `key`; a KeyError is a bug, found by tests/test_ui.py."""
    sentence = _WORDS[known(language)][key]
    return sentence.format(**values) if values else sentence


def word(language: str, kind: str, name: str) -> str:
    """The translation of a name out of data, such as a category; the name itself where none is."""
    return _WORDS[known(language)].get(f"{kind}.{name}", name)


def known(language: object) -> str:
    """`language` if it is one of ours, else English: a browser may send anything."""
    return language if isinstance(language, str) and language in LANGUAGES else "en"


def other(language: str) -> str:
    """The language that the switch leads to."""
    return "en" if known(language) == "zh" else "zh"


def of_browser(accept_language: str) -> str:
    """The first of our languages in an Accept-Language header, in the order that it is written."""
    for part in accept_language.lower().split(","):
        code = part.strip()[:2]
        if code in LANGUAGES:
            return code
    return "en"
