"""Names and postal addresses are found where something tells them; goods and towns are left."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from app.core.data import corpus, data_dir
from app.core.named import find
from app.core.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my name is Odile Brandt-Voss, hello", "my name is <NAME>, hello"),
        ("I'm Tomas Wikander. Where is it?", "I'm <NAME>. Where is it?"),
        ("Ask Mrs. Adeyemi or Dr van der Meer", "Ask Mrs. <NAME> or Dr van der Meer"),
        ("Dear Maren,\nit broke", "Dear <NAME>,\nit broke"),
        ("It broke.\nKind regards,\nPriya Raman", "It broke.\nKind regards,\n<NAME>"),
        ("Recipient: Jonas Ekholm", "Recipient: <NAME>"),
        ("Sophie Lang\n3482 Via Roma 12", "<NAME>\n3482 <ADDRESS>"),
        ("收件人：郑晓岚，谢谢", "收件人：<NAME>，谢谢"),
        ("我叫罗思远，壶漏水。钱女士签收", "我叫<NAME>，壶漏水。<NAME>女士签收"),
        ("收货人安娜·韦伯，电话", "收货人<NAME>，电话"),
        ("send it to 14 Harbour Lane, Flat 3, Bristol BS1 4ZZ", "send it to <ADDRESS>"),
        ("Lindenstraße 12, 10969 Berlin oder Am Ring 3", "<ADDRESS> oder <ADDRESS>"),
        ("27 rue de la Forge, 69002 Lyon", "<ADDRESS>"),
        ("Keizersgracht 12, 1015 CJ Amsterdam", "<ADDRESS>"),
        ("Calle Mayor 5, 28013 Madrid", "<ADDRESS>"),
        ("my postcode is CF10 9ZZ", "my postcode is <ADDRESS>"),
        ("My new address is 3 Tide Cottages, Port Ellery.", "My new address is <ADDRESS>."),
        ("my name is john smith", "my name is <NAME>"),
        ("my address is 12 high street, leeds ls1 4ab", "my address is <ADDRESS>"),
        ("地址：北京市海淀区中关村大街甲28号", "地址：<ADDRESS>"),
        ("四川省天府大道中段1366号2栋3单元1901", "<ADDRESS>"),
        ("北京市海淀区知春路28号汇智大厦1602室", "<ADDRESS>"),
        ("寄到杭州市西湖区文三路 128 号 5 栋 301 室", "寄到<ADDRESS>"),
    ],
)  # fmt: skip
def test_what_is_announced_or_has_the_form_is_replaced(text: str, expected: str) -> None:
    assert redact(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "Earl Grey, Lady Grey and Low Tide, please",
        "I am very happy, and I'm not a robot. Hi there, Hello all,",
        "I am Very Cross with the Heron",
        "Maren from Ropewalk 7, Port Ellery",  # nothing tells either
        "my name is on the parcel, what is the name of the decaf?",
        "my name is spelled wrong",
        "call it 12 Grams a Cup, 18 clicks, 3 Working Days, 2 Green Tins",
        "Thanks, the kettle is lovely",
        "我是老顾客，想买白毫银针。收件人写的我妈。我叫了外卖",
        "一路 3 个订单，街上 2 家店",
        "",
    ],
)
def test_goods_towns_and_small_talk_stay(text: str) -> None:
    assert redact(text) == (text, {})


def test_of_the_shops_own_texts_only_its_own_address_is_taken_for_one() -> None:
    demo = corpus("demo:support")
    found = {
        text[start:end]
        for text in [*(d["text"] for d in demo.docs), *(q.text for q in demo.queries)]
        for _, start, end in find(text)
    }
    assert found == {"绳索街 7 号"}


def test_what_the_shop_itself_has_published_is_not_personal() -> None:
    public = "地址是绳索街 7 号。Write to help@shop.example, 12 Quay Street."
    text = "绳索街 7 号, help@shop.example, me@home.example, 14 Quay Street"
    assert redact(text, public).text == "绳索街 7 号, help@shop.example, <EMAIL>, <ADDRESS>"


@pytest.mark.parametrize(
    "unit",
    ["A b ", "Ab Cd ", "1 Ab ", "my address is 1 A ", "12 Abc Suite ", "张", "省市", "路1号",
     "Mrs A ", "name: A", "Best,\n", "\nAb Cd\n", "12 Ab 34 Cd, ", "我叫王"],
)  # fmt: skip
def test_hostile_text_is_looked_at_in_pieces_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    """Each character a few times for each round, however many findings there are."""
    seen: list[int] = []

    def watched(text: str) -> Iterator[tuple[str, int, int]]:
        seen.append(len(text))
        return find(text)

    monkeypatch.setattr("app.core.named.find", watched)
    text = (unit * 12_000)[:12_000]
    done = redact(text)
    assert max(seen) <= 5_000
    assert sum(seen) <= 2 * 21 * len(text)
    assert redact(done.text).text == done.text


@pytest.mark.realdata
def test_recall_on_the_sentences_of_presidio() -> None:
    """Prose as much as chat: most names in it are announced by nothing. All that is replaced is
    personal data."""
    lines = (data_dir() / "presidio_synth" / "data.jsonl").read_text("utf-8").splitlines()
    marked, hit = {"PERSON": 0, "STREET_ADDRESS": 0}, {"PERSON": 0, "STREET_ADDRESS": 0}
    for row in map(json.loads, lines):
        spans = list(find(row["text"]))
        taken = {at for _, start, end in spans for at in range(start, end)}
        for span in row["spans"]:
            if span["type"] in marked:
                places = set(range(span["start"], span["end"]))
                marked[span["type"]] += len(places)
                hit[span["type"]] += len(places & taken)
        for _, start, end in spans:
            assert any(s["start"] < end and start < s["end"] for s in row["spans"]), row["text"]
    assert hit["STREET_ADDRESS"] / marked["STREET_ADDRESS"] > 0.6
    assert hit["PERSON"] / marked["PERSON"] > 0.2
