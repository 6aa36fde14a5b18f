"""The page's handlers and markup, over the real Services and stand-in models."""

from __future__ import annotations

import re
import string
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.errors import AppError, Mismatch, NotReady
from app.core.files import ROOT
from app.services import Services
from app.serving.loading import Loaded
from app.ui import bubbles, build, i18n, page, recommend, sentiment, style
from tests.helpers_ui import ANSWER, EVIL, FakeSupport, made, services

Toasts = list[str]


@pytest.fixture
def toasts(monkeypatch: pytest.MonkeyPatch) -> Toasts:
    """What the reader is told."""
    told: Toasts = []
    for kind in ("Warning", "Info"):
        monkeypatch.setattr(gr, kind, lambda message, **_: told.append(message))
    return told


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """One for all tests here: every test has visitors of its own."""
    database = tmp_path_factory.mktemp("ui") / "ui.db"
    ready = services(database_url=f"sqlite:///{database}", secret="of the tests")
    ready.load()
    yield ready
    ready.stop()
    ready.store.close()


@pytest.fixture(scope="module")
def ui(loaded: Services) -> build.Page:
    return made(loaded)


def visitor(loaded: Services, session: str = "tab-1", **headers: str) -> Any:
    """A request with a cookie of its own."""
    _, cookie = loaded.visitors.issue()
    return SimpleNamespace(
        cookies={"frontdesk_visitor": cookie}, session_hash=session, headers=headers,
        client=SimpleNamespace(host="192.0.2.7"),
    )  # fmt: skip


def owner(loaded: Services, request: Any) -> str:
    return page.asker(loaded, request).owner


def trainable(loaded: Services, feature: Any, request: Any) -> list[Any]:
    """What the visitor consented to."""
    mine = owner(loaded, request)
    return [s for s in loaded.store.feedback.consented(feature) if s.owner == mine]


def asked(
    ui: build.Page, question: str, request: Any, conversation: str | None = None
) -> list[Any]:
    """All updates of a turn."""
    return list(ui.chat.ask(question, conversation, "en", request))


def thread(update: Any, tab: Any) -> list[str]:
    """The thread in an update, as markup; empty where the update leaves it."""
    value = update.get(tab.thread, [])
    return [m["content"] for m in (value["value"] if isinstance(value, dict) else value)]


def newest(update: Any, tab: Any) -> str:
    """The last bubble in an update, or nothing."""
    return (thread(update, tab) or [""])[-1]


class Markup(HTMLParser):
    """Tags with attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


# Words -------------------------------------------------------------------------------------------


def test_both_languages_have_the_same_keys() -> None:
    assert i18n.EN.keys() == i18n.ZH.keys()


@pytest.mark.parametrize("key", i18n.EN)
def test_both_languages_fill_the_same_gaps(key: str) -> None:
    def gaps(words: str) -> set[str | None]:
        return {field for _, field, _, _ in string.Formatter().parse(words) if field}

    assert gaps(i18n.EN[key]) == gaps(i18n.ZH[key])


def test_chinese_words_are_chinese() -> None:
    english_on_purpose = {"page.other_language", "sentiment.placeholder"} | set(sentiment.EXAMPLES)
    plain = [k for k, w in i18n.ZH.items() if not re.search(r"[\u4e00-\u9fff]", w)]
    assert set(plain) <= english_on_purpose


def test_every_key_is_used_and_every_used_key_exists() -> None:
    code = "".join(
        f.read_text("utf-8") for f in (ROOT / "app/ui").glob("*.py") if f.name != "i18n.py"
    )
    groups = "|".join({key.split(".")[0] for key in i18n.EN})
    named = set(re.findall(rf'["\']((?:{groups})\.\w+)["\']', code))
    named -= {"page.css", "page.js"}
    assert named <= i18n.EN.keys()
    computed = re.compile(
        r"(feature|label|category)\.|chat\.(cancelled|length|error|example)|sentiment\.example"
    )
    assert {k for k in i18n.EN if k not in named and not computed.match(k)} == set()


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de-DE,de,en;q=0.5", "en"), ("fr", "en"), ("", "en"),
     ("en-GB,zh", "en"), ("ZH-hant", "zh")],
)  # fmt: skip
def test_the_language_is_the_browsers_first_that_we_speak(header: str, language: str) -> None:
    assert i18n.of_browser(header) == language


@pytest.mark.parametrize("sent", ["de", "", None, 7, {"a": 1}])
def test_an_unknown_language_is_english(sent: object) -> None:
    assert i18n.known(sent) == "en"


# Looks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0, 1], ids=["day", "night"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [("ink", "ground"), ("ink", "surface"), ("ink", "sunken"), ("ink", "leaf"), ("ink", "honey"),
     ("faded", "ground"), ("faded", "surface"), ("fern", "surface"), ("fern", "ground"),
     ("fern", "leaf"), ("on_fern", "fern"), ("on_fern", "fern_deep"), ("copper", "surface"),
     ("copper", "ground"), ("clay", "surface")],
)  # fmt: skip
def test_text_has_aa_contrast(ink: str, ground: str, mode: int) -> None:
    assert style.contrast(style.COLOURS[ink][mode], style.COLOURS[ground][mode]) >= 4.5


@pytest.mark.parametrize("mode", [0, 1], ids=["day", "night"])
def test_edges_of_fields_have_aa_contrast(mode: int) -> None:
    assert style.contrast(style.COLOURS["edge"][mode], style.COLOURS["surface"][mode]) >= 3


def test_contrast_of_black_on_white_is_21() -> None:
    assert style.contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_look_needs_nothing_from_elsewhere() -> None:
    looks = style.mount_kwargs()
    assert not re.search(r"https?://|@import|url\(", looks["css"] + looks["head"])
    assert looks["theme"]._stylesheets == []


# The page as a whole -----------------------------------------------------------------------------


def test_the_page_is_built_before_any_model_is_loaded() -> None:
    waking = services()
    shown = made(waking)
    _, status, foot, *_ = _looked(shown, None)
    assert "waking" in status
    assert foot.count("waking up") == 3
    waking.store.close()


def test_every_event_is_private(ui: build.Page) -> None:
    events = ui.blocks.get_config_file()["dependencies"]
    assert events
    assert {event["api_visibility"] for event in events} == {"private"}


def test_the_thread_on_the_page_is_never_read_back(ui: build.Page) -> None:
    events = ui.blocks.get_config_file()["dependencies"]
    assert not [e for e in events if ui.chat.thread._id in e["inputs"]]


def test_a_change_of_language_says_everything_in_it(ui: build.Page, loaded: Services) -> None:
    updates = ui._change("en", None, None, None, visitor(loaded))
    assert updates[ui.chat.send]["value"] == "发送"
    assert updates[ui.mood.box]["label"] == "一段英文评论"
    assert updates[ui.shop.category] | {} == updates[ui.shop.category]
    assert updates[ui.shop.category]["label"] == "分类"
    assert ("茶", "Tea") in updates[ui.shop.category]["choices"]


def test_the_first_language_is_the_browsers_and_then_the_chosen_one(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded, **{"accept-language": "zh-CN"})
    assert ui._open("", request)[ui._language] == "zh"
    assert ui._open("en", request)[ui._language] == "en"
    assert ui._open("xx", request)[ui._language] == "en"


def _looked(ui: build.Page, seen: Any) -> tuple[Any, str, str, Any]:
    updates = ui._look(seen, "en")
    return updates[ui._seen], updates[ui._status], updates[ui._foot], updates[ui._timer]


def test_a_look_that_finds_nothing_new_changes_nothing(ui: build.Page) -> None:
    seen, status, _, _ = _looked(ui, None)
    assert status == ""
    assert list(ui._look(seen, "en")) == [ui._seen]


def test_a_swapped_release_is_told_and_marked(ui: build.Page) -> None:
    seen, _, foot, _ = _looked(ui, None)
    assert "fresh" not in foot
    before = seen | {"sentiment": {"state": "ready", "release": "an-older-one"}}
    _, status, foot, _ = _looked(ui, before)
    assert "newer model now serves sentiment" in status
    assert re.search(
        r'data-feature="sentiment" class="fresh">sentiment <code>sentiment-test<', foot
    )


def test_a_feature_that_failed_is_named() -> None:
    state = {"support": {"state": "failed", "error": "<secret path>"}}
    assert "(chat)" in build.status(state, None, "en")
    assert "secret" not in build.status(state, None, "en") + build.foot(state, None, "en")


def test_the_page_stands_where_every_model_failed(toasts: Toasts) -> None:
    def broken() -> Loaded:
        raise Mismatch("the adapter is another one", zh="模型校验未通过。")

    failed = services(load=dict.fromkeys(("support", "sentiment", "recommend"), (broken, None)))
    failed.load()
    ui, request = made(failed), visitor(failed)
    _, status, foot, _ = _looked(ui, None)
    assert "would not start (chat, sentiment, recommendations)" in status
    assert foot.count("not available") == 3
    ui._open("zh", request)
    asked(ui, "Hello?", request)
    assert ui.mood.read("bad", "en", request) == {}
    assert list(ui.shop.welcome(None, "zh", request)) == [{ui.shop.cards: ""}]
    assert [bool(re.search("number [0-9a-f]{8}|编号 [0-9a-f]{8}", t)) for t in toasts] == [True] * 3
    failed.store.close()


def test_release_names_are_escaped() -> None:
    state = {"support": {"state": "ready", "release": EVIL}}
    assert "img" not in Markup(build.foot(state, None, "en")).tags


def test_without_a_cookie_the_limit_counts_the_address(loaded: Services) -> None:
    request = visitor(loaded)
    assert page.asker(loaded, request).quota == owner(loaded, request)
    request.cookies = {"frontdesk_visitor": "forged"}
    asker = page.asker(loaded, request)
    assert asker.owner.startswith("session:")
    assert asker.quota == "address:192.0.2.7"


# Chat --------------------------------------------------------------------------------------------


def test_an_answer_grows_and_ends_with_its_article(ui: build.Page, loaded: Services) -> None:
    updates = asked(ui, "What does delivery cost?", visitor(loaded))
    answers = [newest(u, ui.chat) for u in updates if ui.chat.thread in u]
    assert "typing" in answers[0]
    grown = [Markup(a).text for a in answers if "typing" not in a]
    assert all(later.startswith(earlier.strip()) for earlier, later in pairwise(grown))
    last = updates[-1]
    assert "<details" in answers[-1]
    assert last[ui.chat.send]["visible"]
    assert not last[ui.chat.stop]["visible"]
    assert ANSWER in last[ui.chat.spoken]
    assert last[ui.chat.list]["choices"] == [
        ("What does delivery cost?", last[ui.chat.conversation])
    ]


def test_the_stop_button_is_there_from_the_first_moment(ui: build.Page, loaded: Services) -> None:
    first = asked(ui, "Hello?", visitor(loaded))[0]
    assert first[ui.chat.stop]["visible"]
    assert not first[ui.chat.send]["visible"]


def test_stop_ends_the_turn_and_keeps_what_was_said(toasts: Toasts) -> None:
    slow = services(FakeSupport(pause=0.02))
    slow.load()
    ui, request = made(slow), visitor(slow)
    turn = ui.chat.ask("What does delivery cost?", None, "en", request)
    for update in turn:
        if "Standard" in newest(update, ui.chat):
            ui.chat.halt(request)
            break
    last = list(turn)[-1]
    answer = newest(last, ui.chat)
    assert "Stopped" in answer
    assert len(Markup(answer).text) < len(ANSWER) + 300
    kept = slow.store.conversations.history(owner(slow, request), last[ui.chat.conversation])
    assert kept[-1].finish == "cancelled"
    assert kept[-1].content != ANSWER
    assert toasts == []
    slow.store.close()


def test_stop_from_another_page_or_visitor_stops_nothing(loaded: Services) -> None:
    ui, mine = made(loaded), visitor(loaded)
    turn = ui.chat.ask("What does delivery cost?", None, "en", mine)
    next(turn)
    ui.chat.halt(visitor(loaded, session="tab-1"))
    elsewhere: Any = SimpleNamespace(**vars(mine) | {"session_hash": "tab-2"})
    ui.chat.halt(elsewhere)
    last = list(turn)[-1]
    assert "Stopped" not in newest(last, ui.chat)


def test_a_page_that_goes_away_stops_its_turn(loaded: Services) -> None:
    ui, request = made(loaded), visitor(loaded)
    turn = ui.chat.ask("What does delivery cost?", None, "en", request)
    while "Standard" not in newest(next(turn), ui.chat):
        pass
    turn.close()  # type: ignore[attr-defined]
    [kept] = loaded.store.conversations.list(owner(loaded, request))
    assert (
        loaded.store.conversations.history(owner(loaded, request), kept.id)[-1].finish
        == "cancelled"
    )
    assert ui.chat._running == {}


def test_a_question_waits_for_the_model_to_wake_up() -> None:
    waking = services()
    ui = made(waking)
    turn = ui.chat.ask("What does delivery cost?", None, "en", visitor(waking))
    next(turn)
    assert "wake up" in newest(next(turn), ui.chat)
    waking.load()
    assert ANSWER in newest(list(turn)[-1], ui.chat)
    waking.store.close()


def test_stop_also_ends_the_wait_for_the_model(toasts: Toasts) -> None:
    waking = services()
    ui, request = made(waking), visitor(waking)
    turn = ui.chat.ask("What does delivery cost?", None, "en", request)
    next(turn)
    next(turn)
    ui.chat.halt(request)
    began = time.monotonic()
    last = list(turn)[-1]
    assert time.monotonic() - began < 5
    assert thread(last, ui.chat) == []
    assert toasts == ["The model is waking up: try again in a few seconds"]
    waking.store.close()


@pytest.mark.parametrize(
    ("sent", "told"), [("", "empty"), ("  \n ", "empty"), (None, "empty"), ("x" * 2001, "2,000")]
)
def test_a_refused_question_is_told_and_stays_in_the_box(
    sent: Any, told: str, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    updates = asked(ui, sent, request)
    assert [told in toast for toast in toasts] == [True]
    assert not [u for u in updates if ui.chat.box in u]
    assert thread(updates[-1], ui.chat) == []
    assert loaded.store.conversations.list(owner(loaded, request)) == []


def test_the_box_is_emptied_once_the_question_is_stored(ui: build.Page, loaded: Services) -> None:
    updates = asked(ui, "What does delivery cost?", visitor(loaded))
    assert [u[ui.chat.box] for u in updates if ui.chat.box in u] == [""]


def test_a_bug_becomes_a_number_and_nothing_is_lost(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    last = asked(ui, "boom", request)[-1]
    [toast] = toasts
    assert re.search(r"number: [0-9a-f]{8}$", toast)
    assert "bug" not in toast
    question, answer = thread(last, ui.chat)
    assert "boom" in question
    assert "Interrupted" in answer


def test_errors_are_told_in_the_language_of_the_page(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    list(ui.chat.ask("", None, "zh", visitor(loaded)))
    list(ui.chat.ask("boom", None, "zh", visitor(loaded)))
    assert all(re.search(r"[\u4e00-\u9fff]", toast) for toast in toasts)
    assert len(toasts) == 2


def test_toasts_are_escaped_and_only_faults_of_ours_have_a_number(toasts: Toasts) -> None:
    page.toast(NotReady(EVIL), "en")
    page.toast(AppError(EVIL), "en")
    assert not [t for t in toasts if "<img" in t]
    assert ["(number " in t for t in toasts] == [False, True]


def test_history_survives_a_restart_of_the_page(ui: build.Page, loaded: Services) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    again = made(loaded)
    shown = again._open("", request)
    assert shown[again.chat.conversation] == conversation
    question, answer = thread(shown, again.chat)
    assert "What does delivery cost?" in question
    assert "What delivery costs" in answer


def test_the_model_is_given_the_stored_turns_and_nothing_from_the_page(toasts: Toasts) -> None:
    model = FakeSupport()
    loaded = services(model)
    loaded.load()
    ui, request = made(loaded), visitor(loaded)
    conversation = asked(ui, "First?", request)[-1][ui.chat.conversation]
    asked(ui, "Second?", request, conversation)
    assert [(m.role, m.content) for m in model.histories[1]] == [
        ("user", "First?"), ("assistant", ANSWER)
    ]  # fmt: skip
    assert toasts == []
    loaded.store.close()


def test_somebody_elses_conversation_is_not_found(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    theirs = asked(ui, "My address is 7 Quay St", visitor(loaded))[-1][ui.chat.conversation]
    thief = visitor(loaded)
    picked: Any = SimpleNamespace(value=theirs)
    opened = ui.chat.open("en", picked, thief)
    last = asked(ui, "What did I say?", thief, theirs)[-1]
    for update in (opened, last):
        assert thread(update, ui.chat) == []
        assert update[ui.chat.conversation] is None
    assert ["no such conversation" in t.lower() for t in toasts] == [True, True]


def test_a_new_conversation_is_empty_and_the_old_one_can_be_opened(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    first = asked(ui, "First?", request)[-1][ui.chat.conversation]
    begun = ui.chat.begin()
    assert thread(begun, ui.chat) == []
    assert begun[ui.chat.conversation] is None
    asked(ui, "Second?", request)
    picked: Any = SimpleNamespace(value=first)
    opened = ui.chat.open("en", picked, request)
    assert "First?" in thread(opened, ui.chat)[0]
    assert [title for title, _ in opened[ui.chat.list]["choices"]] == ["Second?", "First?"]


def _thumb(index: Any, liked: Any) -> Any:
    return SimpleNamespace(index=index, liked=liked)


def test_a_thumb_down_is_stored_and_opens_an_unticked_correction(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    opened = ui.chat.correction.rate(conversation, "en", _thumb(1, False), request)
    assert opened[ui.chat.correction.panel]["visible"]
    assert opened[ui.chat.correction.consent] is False
    stored = loaded.store.conversations.history(owner(loaded, request), conversation)
    assert stored[1].rating == -1
    assert opened[ui.chat.correction.message] == stored[1].id


@pytest.mark.parametrize(("ticked", "kept"), [(False, 0), (True, 1), ("yes", 0)])
def test_only_a_ticked_box_lets_a_correction_be_trained_on(
    ticked: Any, kept: int, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    message = ui.chat.correction.rate(conversation, "en", _thumb(1, False), request)[
        ui.chat.correction.message
    ]
    closed = ui.chat.correction.send(message, "€4.90.", ticked, "en", request)
    assert not closed[ui.chat.correction.panel]["visible"]
    assert toasts == ["Thank you, noted."]
    samples = trainable(loaded, "support", request)
    assert len(samples) == kept
    assert all(s.correction == "€4.90." and s.text == "What does delivery cost?" for s in samples)


def test_thumbs_are_shown_again_after_a_reload(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "First?", request)[-1][ui.chat.conversation]
    asked(ui, "Second?", request, conversation)
    ui.chat.correction.rate(conversation, "en", _thumb(3, True), request)
    shown = ui._open("", request)[ui.chat.thread]
    assert shown["feedback_value"] == [None, "Like"]
    assert toasts == ["Glad that helped."]


@pytest.mark.parametrize("index", [0, 2, -1, 99, "1", None, (1, 0)])
def test_a_thumb_on_what_is_no_answer_is_told(
    index: Any, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    ui.chat.correction.rate(conversation, "en", _thumb(index, True), request)
    assert toasts == ["There is no answer to rate here any more."]


def test_feedback_on_somebody_elses_answer_is_refused(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    victim = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", victim)[-1][ui.chat.conversation]
    message = loaded.store.conversations.history(owner(loaded, victim), conversation)[1].id
    thief = visitor(loaded)
    assert ui.chat.correction.send(message, "lies", True, "en", thief) == {}
    assert "no such answer" in toasts[0].lower()
    assert trainable(loaded, "support", thief) == trainable(loaded, "support", victim) == []


# Markup ------------------------------------------------------------------------------------------


@given(st.text())
def test_a_bubble_shows_any_text_and_interprets_none(said: str) -> None:
    markup = Markup(bubbles.bubble(said))
    assert set(markup.tags) == {"span"}
    assert markup.text == said


def test_an_unsure_verdict_names_its_share_only_in_a_language_it_was_measured_on() -> None:
    shown = {"label": "positive", "score": 0.92, "probabilities": {}, "not_sure": True}
    english = sentiment.verdict({**shown, "text": "It is a mug."}, "zh")
    chinese = sentiment.verdict({**shown, "text": "这茶喝起来像洗碗水。"}, "zh")
    assert "92" in english
    assert "92" not in chinese
    assert "只学过英文" in chinese


@pytest.mark.parametrize(
    "make",
    [
        lambda: bubbles.sources([{"title": EVIL, "passage": EVIL}], "en"),
        lambda: bubbles.spoken(EVIL),
        lambda: recommend.message(EVIL),
        lambda: build.banner("waking", EVIL),
        lambda: sentiment.verdict(
            {
                "label": EVIL,
                "score": 0.9,
                "probabilities": {EVIL: 0.9},
                "not_sure": False,
                "text": EVIL,
            },
            "en",
        ),
    ],
)
def test_no_text_becomes_markup(make: Callable[[], str]) -> None:
    markup = Markup(make())
    assert "img" not in markup.tags
    assert "onerror" not in markup.attributes
    assert EVIL in markup.text


# Sentiment ---------------------------------------------------------------------------------------


def _samples(loaded: Services) -> Any:
    with loaded.store.engine.connect() as database:
        kept = text("select count(*) from messages where kind = 'sentiment'")
        return database.execute(kept).scalar()


def test_a_review_gets_a_word_and_probabilities_and_is_not_kept(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    before = _samples(loaded)
    read = ui.mood.read("this is bad", "zh", request)
    assert "负面" in read[ui.mood.verdict]["value"]
    assert read[ui.mood.bars]["value"] == pytest.approx({"负面": 0.93, "正面": 0.07})
    assert _samples(loaded) == before


def test_an_unsure_model_says_so(ui: build.Page, loaded: Services) -> None:
    shown = ui.mood.read("hm", "en", visitor(loaded))[ui.mood.verdict]["value"]
    assert "Not sure" in shown
    assert "54 %" in shown


def test_certainty_is_never_shown_as_100_percent() -> None:
    assert page.percent(0.9999) == "99 %"


@pytest.mark.parametrize(("sent", "told"), [("", "empty"), ("x" * 5001, "5,000")])
def test_a_refused_review_is_told(
    sent: str, told: str, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    assert ui.mood.read(sent, "en", visitor(loaded)) == {}
    assert told in toasts[0]


def test_a_corrected_label_is_kept_with_its_text_and_consent(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    shown = ui.mood.read("not bad at all", "en", request)[ui.mood.shown]
    opened = ui.mood.open(shown, "en")
    assert opened[ui.mood.consent] is False
    assert opened[ui.mood.label]["choices"] == [("Positive", "positive")]
    ui.mood.send_correction(shown, "positive", True, "en", request)
    [sample] = trainable(loaded, "sentiment", request)
    assert (sample.text, sample.answer, sample.correction) == (
        "not bad at all",
        "negative",
        "positive",
    )
    assert toasts == ["Thank you, noted."]


@pytest.mark.parametrize("label", [None, "", "angry"])
def test_a_correction_without_a_known_label_is_refused(
    label: str | None, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    shown = ui.mood.read("not bad", "en", request)[ui.mood.shown]
    assert ui.mood.send_correction(shown, label, True, "en", request) == {}
    assert len(toasts) == 1
    assert trainable(loaded, "sentiment", request) == []


def test_a_load_that_ends_late_wipes_out_no_verdict(ui: build.Page, loaded: Services) -> None:
    late = ui._open("zh", visitor(loaded))
    assert not {ui.mood.verdict, ui.mood.shown, ui.shop.cards} & late.keys()
    assert "value" not in late[ui.mood.bars]
    assert "visible" not in late[ui.mood.empty]


def test_every_example_review_can_be_read(ui: build.Page, loaded: Services) -> None:
    for number in range(len(sentiment.EXAMPLES)):
        read = ui.mood.read_example(number, "en", visitor(loaded))
        assert read[ui.mood.shown]["text"] == read[ui.mood.box]


# Recommendations ---------------------------------------------------------------------------------


def _cards(ui: build.Page, request: Any, **wish: Any) -> str:
    wanted: Any = {"liked": [], "query": "", "category": "", "max_price": 0} | wish
    updates = ui.shop.suggest(**wanted, language="en", request=request)
    return str(updates[ui.shop.cards])


def test_cards_say_why_and_what_it_costs(ui: build.Page, loaded: Services) -> None:
    shown = _cards(ui, visitor(loaded), query="a kettle")
    assert "€119.00" in shown
    assert "matches &#x27;a kettle&#x27;" in shown
    assert "Only 22 left" in shown
    assert "img" not in Markup(shown).tags


def test_a_price_bounds_what_is_shown(ui: build.Page, loaded: Services) -> None:
    shown = _cards(ui, visitor(loaded), max_price=20)
    assert "Jasmine Pearls" in shown
    assert "Heron" not in shown


def test_nothing_found_is_said(ui: build.Page, loaded: Services) -> None:
    assert "Nothing on the shelves" in _cards(ui, visitor(loaded), max_price=1)


def test_the_tab_opens_with_what_is_popular_and_the_catalogue(
    ui: build.Page, loaded: Services
) -> None:
    [opened] = ui.shop.welcome(None, "en", visitor(loaded))
    assert "popular" in opened[ui.shop.cards]
    assert ("Jasmine Pearls", "jasmine-pearls") in opened[ui.shop.liked]["choices"]
    assert list(ui.shop.welcome(opened[ui.shop.wish], "en", visitor(loaded))) == []


@pytest.mark.parametrize(
    ("left", "words"), [(0, "Sold out"), (3, "Only 3 left"), (300, "In stock"), (None, "")]
)
def test_stock_is_said_in_words(left: int | None, words: str) -> None:
    assert recommend.stock(left, "en") == words


def test_over_the_limit_is_told(toasts: Toasts) -> None:
    strict = services(messages_per_minute=1)
    strict.load()
    ui, request = made(strict), visitor(strict)
    first = asked(ui, "One?", request)[-1]
    asked(ui, "Two?", request, first[ui.chat.conversation])
    assert ["wait" in t for t in toasts] == [True]
    strict.store.close()
