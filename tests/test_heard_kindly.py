"""What would hurt or annoy: emergencies, allergies, thanks taken for a question, lost addresses."""

from __future__ import annotations

import pytest

from app.core.language import simplified
from app.knowledge.terms import terms
from app.store.db import Store
from app.store.models import Ticket, Write
from app.support import danger, mood, smalltalk
from app.support.chat import SupportChat
from app.support.flows import agreement, heard
from app.support.flows.change_address import _address
from app.support.flows.route import route
from tests.helpers_flows import EVERYTHING, IMOGEN, Visit, chat, module_store, stands, store, visit

__all__ = ["chat", "module_store", "store", "visit"]

# In danger --------------------------------------------------------------------------------------

URGENT = [
    "my baby swallowed the descaler, what do I do", "my son drank some of the cleaner",
    "I got an allergic reaction from your tea and I can't breathe", "I burnt my hand on the kettle",
    "the kettle caught fire", "I want to kill myself", "孩子误食了除垢剂怎么办", "我喝了清洁剂",
    "descaler got in my eye", "the descaler was swallowed by my toddler", "I want to die",
    "my toddler is drinking the descaler", "小孩把干燥剂吃了", "孩子把除垢剂喝了", "我想死",
    "电池被孩子吞下去了", "我过敏了，喉咙肿了", "吃了你们的饼干出现过敏反应", "被壺燙傷了",
    "她喘不过气",
]  # fmt: skip
CALM = [
    "Does the descaler harm the kettle?", "How do I descale my kettle?", "My coffee tastes burnt",
    "Which teas can cause an allergic reaction?", "Is the packaging fire safe?", "I ate the cake",
    "My order was swallowed by the courier", "Does the kettle protect against electric shock?",
    "Is the lid a choking hazard?", "I drank my coffee, how do I clean the pot?",
    "电子秤吃电池吗", "喝完咖啡可以用清洁剂洗杯子吗", "壶把会烫伤手吗", "一起火锅", "不想活动",
    "长辈喝了超期的，会中毒不",
    "除垢剂怎么用？", "会引起过敏吗？", "我喝了你们的茶，很好喝", "烘焙程度怎么选？",
]  # fmt: skip


@pytest.mark.parametrize("text", URGENT)
def test_who_may_be_hurt_is_told_where_help_is(text: str) -> None:
    assert "112" in str(danger.emergency(text, "en"))
    assert "120" in str(danger.emergency(text, "zh"))


@pytest.mark.parametrize("text", CALM)
def test_no_alarm_is_raised_over_an_ordinary_question(text: str) -> None:
    assert danger.emergency(text, "en") is None


def test_an_emergency_comes_before_a_flow_and_leaves_it_open(visit: Visit) -> None:
    visit.say(f"Please cancel my order FK-10993, {IMOGEN}")
    assert "999" in visit.say("help, my son drank the cleaner!")
    assert visit.last is not None
    assert (visit.last.intent, visit.last.citations) == ("emergency", [])
    assert list(visit.last.quick) == ["Talk to a human"]
    assert "Shall I cancel" in visit.say("yes")
    assert visit.order().status == "placed"
    assert "is cancelled" in visit.say("yes")


# To be avoided ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["I'm allergic to nuts, can you recommend a snack?", "recommend a gluten free tea",
     "can you suggest something for a sesame allergy", "I am pregnant, can you recommend a tea?",
     "recommend a tea that is not black", "can you recommend a tea without caffeine",
     "recommend something my diabetic mother can have", "推荐不含咖啡因的茶",
     "推荐一款茶，不要红茶",
     "I have celiac disease, recommend a snack", "推荐一款茶，忌咖啡因", "推荐茶，除了绿茶",
     "can you recommend a tea for my mother? She doesn't drink black tea.",
     "我花生过敏，能推荐点心吗", "推薦適合孕婦的茶"],
)  # fmt: skip
def test_what_is_to_be_avoided_is_not_left_to_the_recommender(text: str) -> None:
    assert route(text, EVERYTHING) is None


@pytest.mark.parametrize(
    "text",
    ["can you recommend a gift, not too expensive?", "recommend a tea, I'm not sure which",
     "I don't have a grinder, can you recommend a coffee?", "Feel free to recommend me a tea",
     "推荐一款咖啡，不要太贵", "can you recommend a decaf coffee?", "推荐一款红茶",
     "请推荐送朋友的礼物"],
)  # fmt: skip
def test_other_wishes_are_the_recommenders(text: str) -> None:
    flow = route(text, EVERYTHING)
    assert flow is not None
    assert flow.name == "recommend"


# Pleasantries -----------------------------------------------------------------------------------

PLEASANT = [
    "thank you so much, you have been really helpful!!", "you're great", "lol", "hahaha",
    "great, that's very helpful, thanks a lot", "no thanks", "help", "can you help me?",
    "nope", "no", "not really", "没有", "that's all, thank you", "sorry, my mistake", "ok, bye!",
    "I have a question",
    "哈哈", "你是真人还是机器啊", "太好了，谢谢！", "没有了，谢谢", "不好意思", "你真棒", "謝謝你",
]  # fmt: skip


@pytest.mark.parametrize("text", PLEASANT)
def test_a_pleasantry_is_answered_kindly(text: str) -> None:
    assert smalltalk.small_talk(text)


@pytest.mark.parametrize(
    "text",
    ["thanks, where is my order?", "help me return a mug", "great kettle, does it leak?",
     "that's all wrong", "you are useless", "sorry, that is not what I asked", "谢谢，运费多少？",
     "帮我取消订单", "没有收到包裹"],
)  # fmt: skip
def test_what_says_more_is_no_pleasantry(text: str) -> None:
    assert smalltalk.small_talk(text) is None


def test_pleasantries_make_no_ticket(visit: Visit) -> None:
    for text in ("thank you so much, you have been really helpful!!", "you're great", "lol"):
        visit.say(text)
    assert visit.count(Ticket) == 0


# Mood -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["how long does a refund take?", "What if my parcel is late?", "Is the tea bitter?",
     "I want my refund", "no thanks", "No, thank you", "what happens if it is damaged",
     "退款多久到账", "我要退款",
     "坏了可以换吗？"],
)  # fmt: skip
def test_a_matter_is_not_taken_for_a_mood(text: str) -> None:
    assert mood.reader()(text) == 0.0


@pytest.mark.parametrize(
    "text",
    ["Why is my parcel still late, this is terrible?", "Are you useless or what?",
     "怎么还没到？太差劲了", "the tea is stale and the mug broke"],
)  # fmt: skip
def test_who_is_upset_is_still_heard(text: str) -> None:
    assert mood.reader()(text) < -0.3


# Traditional characters -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "flow"),
    [("我要取消訂單", "cancel"), ("我想退貨", "return"), ("轉人工", "human"),
     ("我要投訴", "complaint"),
     ("請幫我修改地址", "change_address"), ("我的訂單到哪了", "order_status")],
)  # fmt: skip
def test_traditional_characters_start_the_same_flows(text: str, flow: str) -> None:
    found = route(text, EVERYTHING)
    assert found is not None
    assert found.name == flow


def test_traditional_characters_agree_and_are_searched_as_simplified_ones() -> None:
    assert agreement.yes("對")
    assert terms("請問寄到中國大陸要多久") == terms("请问寄到中国大陆要多久")
    assert simplified("Heron 壺") == "Heron 壶"
    assert heard.without_email("臺北市中正區 1 號 a@b.example").strip() == "臺北市中正區 1 號"


# Orders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [("改到 12 Harbour Lane, Cardiff CF10 1AA", "12 Harbour Lane, Cardiff CF10 1AA"),
     ("改为上海市徐汇区漕溪路12号", "上海市徐汇区漕溪路12号"),
     ("臺北市中正區重慶南路一段1號", "臺北市中正區重慶南路一段1號"),
     ("Please deliver it to 12 Harbour Lane, Cardiff CF10 1AA",
     "12 Harbour Lane, Cardiff CF10 1AA"),
     ("Thanks! 12 Harbour Lane, Cardiff CF10 1AA", "12 Harbour Lane, Cardiff CF10 1AA"),
     ("麻烦寄到上海市徐汇区漕溪路12号", "上海市徐汇区漕溪路12号"),
     ("麻煩寄到臺北市中正區重慶南路一段1號，謝謝", "臺北市中正區重慶南路一段1號"),
     ("I moved on 3 November, sorry", None), ("we moved, number 13, last week", None),
     ("5 Quay Street, Cardiff CF10 2BB and please leave it with the neighbour",
      "5 Quay Street, Cardiff CF10 2BB")],
)  # fmt: skip
def test_an_address_is_what_is_one_and_no_more(text: str, address: str | None) -> None:
    assert _address(text) == address


def test_an_address_is_read_back_with_the_country_that_it_cannot_leave(visit: Visit) -> None:
    visit.say(f"Change the address of FK-10993, {IMOGEN}")
    assert "75002 Paris, United Kingdom?" in visit.say("12 Rue de la Paix, 75002 Paris")


@pytest.mark.parametrize("text", ["no, number 13", "不对，是13号"])
def test_a_piece_of_an_address_has_the_whole_asked_for(visit: Visit, text: str) -> None:
    visit.say(f"Change the address of FK-10993, {IMOGEN}")
    visit.say("12 Harbour Lane, Cardiff CF10 1AA")
    assert "new address" in visit.say(text) or "新地址" in str(visit.last)
    assert "13 Harbour Lane" in visit.say("13 Harbour Lane, Cardiff CF10 1AA")
    visit.say("yes")
    assert visit.order().address == "13 Harbour Lane, Cardiff CF10 1AA, United Kingdom"


def test_an_item_told_at_first_is_not_asked_for(visit: Visit) -> None:
    stands(visit.store, "FK-10993", "delivered", 200)
    assert "Which item" in visit.say(f"I want to return something from FK-10993, {IMOGEN}")
    visit.say("never mind")
    said = visit.say(f"I want to return the decaf from FK-10993, {IMOGEN}")
    assert "About Low Tide Decaf: what is the reason?" in said


@pytest.mark.parametrize("text", ["不要了，帮我取消", "那取消吧", "请取消"])
def test_a_known_order_is_cancelled_without_naming_it_again(
    chat: SupportChat, store: Store, text: str
) -> None:
    visit = Visit(chat, store, "zh")
    visit.say(f"订单 FK-10993 到哪了，{IMOGEN}")
    assert "要我现在取消订单 FK-10993 吗" in visit.say(text)
    assert visit.count(Write) == 0


@pytest.mark.parametrize(
    ("text", "flow"),
    [("when will it arrive?", "order_status"), ("什么时候能到？", "order_status"),
     ("我的快递怎么还不来", "order_status"), ("我的快递怎么还没到", "order_status")],
)  # fmt: skip
def test_when_it_comes_is_asked_of_the_order(text: str, flow: str) -> None:
    found = route(text, EVERYTHING)
    assert found is not None
    assert found.name == flow


@pytest.mark.parametrize(
    "text", ["退货面单在哪里拿", "发货到哪些国家", "线下取货点有么，在哪个城市"]
)
def test_where_something_else_is_asks_for_no_order(text: str) -> None:
    assert route(text, EVERYTHING) is None


@pytest.mark.parametrize(
    "text",
    ["I'd rather not", "thanks, no", "还是留着吧", "我不想取消", "no thanks", "不用了", "keep it"],
)
def test_a_no_is_heard_however_kindly_it_is_said(visit: Visit, text: str) -> None:
    visit.say(f"Please cancel my order FK-10993, {IMOGEN}")
    assert "stays as it is" in visit.say(text) or "保持不变" in str(visit.last)
    visit.say(f"Please cancel my order FK-10993, {IMOGEN}")
    visit.say("How long does the refund take?")
    visit.say(text)
    assert "Shall I" not in visit.say("hello")


@pytest.mark.parametrize(
    "text",
    ["Yes, cancel order FK-10993", "yes I want to cancel it", "please go ahead", "是的，我要取消"],
)
def test_a_yes_that_names_its_matter_is_one(visit: Visit, text: str) -> None:
    visit.say(f"Please cancel my order FK-10993, {IMOGEN}")
    visit.say(text)
    assert visit.order().status == "cancelled"


def test_a_chinese_address_in_an_english_conversation_changes_no_language(visit: Visit) -> None:
    visit.say(f"Change the address of FK-10993, {IMOGEN}")
    assert "Shall I send" in visit.say("上海市徐汇区漕溪路12号")
    assert heard.language("订单 2 到哪了", "en") == "zh"


@pytest.mark.parametrize("text", ["😡😡", "？？", "我邮箱是 a@b.example"])
def test_a_chinese_conversation_is_declined_in_chinese(
    chat: SupportChat, store: Store, text: str
) -> None:
    visit = Visit(chat, store, "zh")
    visit.say("你好")
    assert "\u4e00" <= visit.say(text)[0] <= "\u9fff"
