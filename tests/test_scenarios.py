"""The scenarios as data: what they may say, who their customers are, and what guards they hold."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.errors import ConfigError, InputError
from eval.customer import Customer, agrees, asked
from eval.scenario import GUARDS, Scenario, load, read
from eval.tasks import conversations
from tests.helpers_scenarios import (
    ALL,
    SCENARIOS,
    Desk,
    Liar,
    Obedient,
    guarding,
    scripted,
)

PLAIN: dict[str, Any] = {
    "summary": "Asks one thing.",
    "kind": "plain",
    "customer": {"lines": [{"says": ["How much is it?"]}]},
}


def written(folder: Path, **changes: Any) -> Path:
    """A scenario file with these keys changed."""
    file = folder / "asks-one-thing.yaml"
    file.write_text(yaml.safe_dump(PLAIN | changes), encoding="utf-8")
    return file


def made(folder: Path, **customer: Any) -> Scenario:
    """A scenario with this customer."""
    return read(written(folder, customer=customer))


# What a file may say ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"summry": "x"}, r"asks-one-thing.yaml: unknown key 'summry'. Did you mean 'summary'"),
        ({"kind": "weird"}, "kind: input should be"),
        ({"expected": "fail"}, "reason: value error, expected a reason where `expected: fail`"),
        ({"reason": "since"}, "reason: value error, expected a reason where `expected: fail`"),
        ({"guards": ["moat"]}, "guards.0: input should be"),
        ({"never": ["("]}, "never.0: value error, expected a regular expression"),
        ({"customer": {"lines": []}}, "customer.lines: list should have at least 1 item"),
        ({"customer": {"lines": [{"says": []}]}}, "customer.lines.0.says: list should have at"),
        ({"customer": {"lines": [{"says": ["hm"], "when": "yes"}]}}, "waits for nothing"),
        ({"customer": {"lines": [{"says": ["{order}"]}]}}, "expected knows to have order"),
        ({"customer": {"patience": 0, "lines": [{"says": ["hm"]}]}}, "customer.patience: input"),
        ({"final": {"rows": {"coupons": 1}}}, "final.rows.coupons"),
    ],
)
def test_a_wrong_scenario_is_refused_with_file_and_field(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(written(tmp_path, **changes))


def test_a_folder_without_scenarios_and_a_bad_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected scenarios \(\*\.yaml\), found none"):
        load(tmp_path)
    (tmp_path / "Has Blanks.yaml").write_text("summary: x")
    with pytest.raises(InputError, match="expected a name such as return-label"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"given": {"FK-99999": {"status": "placed"}}}, "no order 'FK-99999'"),
        ({"final": {"orders": {"FK-1099": {"status": "x"}}}}, "no order 'FK-1099'. Did you mean"),
        (
            {"customer": {"lines": [{"says": ["a"], "expect": {"cites": ["shiping-cost"]}}]}},
            "no article 'shiping-cost'. Did you mean 'shipping-cost'",
        ),
    ],
)
def test_orders_and_articles_that_do_not_exist_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    written(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        conversations.read(f"file:{tmp_path}")


def test_there_are_thirty_scenarios_and_more_of_all_kinds() -> None:
    kinds = Counter(scenario.kind for scenario in ALL.values())
    assert len(ALL) >= 30
    assert not set(Scenario.model_fields["kind"].annotation.__args__) - set(kinds)  # type: ignore[union-attr]
    assert sum(s.language == "zh" for s in ALL.values()) >= 5


@pytest.mark.parametrize("guard", GUARDS)
def test_every_guard_is_named_by_two_scenarios(guard: str) -> None:
    assert sum(guard in scenario.guards for scenario in ALL.values()) >= 2


# Customers --------------------------------------------------------------------------------------


def talk(scenario: Scenario, seed: int, answers: list[str]) -> list[str]:
    """What the customer says to these answers, one after the other."""
    customer = Customer(scenario, seed)
    said = [customer.next(None), *(customer.next(answer) for answer in answers)]
    return [s.text for s in said if s is not None]


def test_a_customer_says_the_same_with_the_same_seed_and_not_with_another(tmp_path: Path) -> None:
    lines = [{"says": list("abcdefgh")}, {"says": list("ABCDEFGH")}]
    scenario = made(tmp_path, lines=lines)
    talks = [talk(scenario, seed, ["mh", "mh"]) for seed in range(8)]
    assert talks == [talk(scenario, seed, ["mh", "mh"]) for seed in range(8)]
    assert [first for first, _ in talks] == list("abcdefgh")
    assert len({second for _, second in talks}) > 3


def test_what_was_waited_for_comes_before_what_is_asked_and_that_before_the_next_line(
    tmp_path: Path,
) -> None:
    scenario = made(
        tmp_path,
        knows={"order": "FK-1", "email": "a@b.example"},
        confirms=False,
        lines=[{"says": ["open"]}, {"says": ["next"]}, {"says": ["really?"], "when": "sorry"}],
    )
    heard = ["What is your order number and your e-mail?", "Sorry, which order?", "Shall I go on?",
             "Fine.", "Bye."]  # fmt: skip
    said = talk(scenario, 0, heard)
    assert (said[0], said[2], said[4]) == ("open", "really?", "next")
    assert "FK-1" in said[1]
    assert "a@b.example" in said[1]
    assert said[3].startswith("No")
    assert len(said) == 5, "nothing is left to say after the last line"


def test_a_fact_is_told_twice_at_most(tmp_path: Path) -> None:
    scenario = made(tmp_path, knows={"order": "FK-1"}, lines=[{"says": ["open"]}])
    assert len(talk(scenario, 0, ["Your order number, please."] * 5)) == 3


def test_typos_fall_into_long_words_and_never_into_what_is_known(tmp_path: Path) -> None:
    text = "please cancel the order {order} of {email} immediately"
    scenario = made(
        tmp_path,
        knows={"order": "FK-10995", "email": "somebody@example.org"},
        typos=0.5,
        lines=[{"says": [text]}],
    )
    said = [talk(scenario, seed, [])[0] for seed in range(20)]
    assert len(set(said)) > 10
    assert all("FK-10995 of somebody@example.org" in s or "FK-10995" in s for s in said)
    assert all("somebody@example.org" in s and " the " in s for s in said)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("Please give us your order number.", ["order"]),
        ("Could you tell me the number of your order and the e-mail address?", ["order", "email"]),
        ("Shall I cancel order FK-10995?", ["confirmation"]),
        ("Where should it go?", ["address"]),
        ("请告诉我订单号和邮箱。", ["order", "email"]),
        ("要我现在取消吗？", ["confirmation"]),
        ("We send you a tracking link by e-mail. Your order number is on the label.", []),
        ("You could write to hello@fernandkettle.example, where a person will read it.", []),
    ],
)
def test_a_customer_hears_what_is_asked(answer: str, what: list[str]) -> None:
    assert asked(answer) == what


def test_yes_is_told_from_no() -> None:
    assert agrees("Yes, please.")
    assert agrees("好的，请办理。")
    assert not agrees("No, leave it.")
    assert not agrees("不用了。")


# Guards taken out -------------------------------------------------------------------------------


def failing(desk: Desk, names: list[str]) -> list[str]:
    """Those of `names` that fail with at least one of three seeds."""
    return [name for name in names if any(desk.reasons(name, seed) for seed in range(3))]


def test_without_citations_named_scenarios_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    names = guarding("citation", "scripted")
    assert len(names) >= 2
    assert failing(Desk(scripted()), names) == []
    for module in ("chat", "modelled"):
        monkeypatch.setattr(f"app.support.{module}.cite", lambda *_: [])
    assert failing(Desk(scripted()), names) == names


def test_without_the_decline_named_scenarios_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    names = guarding("decline", "scripted")
    assert len(names) >= 2
    assert failing(Desk(scripted()), names) == []
    monkeypatch.setattr("app.models.scripted._words", lambda *_: {"any"})  # all is found
    assert failing(Desk(scripted()), names) == names


def test_without_the_grounding_check_named_scenarios_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.support.grounding import Grounded

    names = guarding("grounding", "scripted")
    assert len(names) >= 2
    assert failing(Desk(scripted(Liar())), names) == []
    monkeypatch.setattr("app.support.modelled.ground", lambda text, *_: Grounded(text, []))
    assert failing(Desk(scripted(Liar())), names) == names


def test_without_defused_control_tokens_named_scenarios_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = guarding("control_tokens", "scripted")
    assert len(names) >= 2
    assert failing(Desk(scripted(Obedient())), names) == []
    for module in ("app.support.guard", "app.core.prompt"):
        monkeypatch.setattr(f"{module}.defuse", lambda text: text)
    assert failing(Desk(scripted(Obedient())), names) == names


def test_without_the_identity_check_named_scenarios_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a number passes for its owner, as if the e-mail address were not looked at."""
    from app.store import commerce
    from app.store.models import Customer, Order

    names = flowing("identity")
    assert len(names) >= 3
    assert failing(Desk(scripted()), names) == []

    def anybody(session: Any, order: str, email: str, *, lock: bool = False) -> Any:
        del email, lock
        found = session.get(Order, order)
        customer = session.get(Customer, found.customer_id) if found else None
        return commerce._Identified(found, customer) if customer else None

    monkeypatch.setattr(commerce, "_identified", anybody)
    monkeypatch.setattr("app.support.flows.heard.email", lambda _: "anybody@example.org")
    assert failing(Desk(scripted()), names) == names


def test_without_the_confirmation_named_scenarios_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    names = flowing("confirmation")
    assert len(names) >= 5
    assert failing(Desk(scripted()), names) == []
    for flow in ("cancel_order.CancelOrder", "change_address.ChangeAddress",
                 "return_item.ReturnItem"):  # fmt: skip
        monkeypatch.setattr(f"app.support.flows.{flow}.confirm", lambda *_: None)
    assert failing(Desk(scripted()), names) == names


def test_without_the_hand_off_named_scenarios_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is promised, and nobody told."""
    names = guarding("hand_off", "scripted")
    assert len(names) >= 3
    assert failing(Desk(scripted()), names) == []
    monkeypatch.setattr("app.store.tickets.Tickets.hand_over", lambda *_: "ticket")
    assert failing(Desk(scripted()), names) == names


def flowing(guard: str) -> list[str]:
    """Those of `guarding` that are about an order of the shop."""
    return [name for name in guarding(guard, "scripted") if "FK-" in repr(ALL[name])]


def test_order_status_passes_with_every_seed() -> None:
    desk = Desk(scripted())
    for name in ("order-status", "order-status-given-at-once", "order-status-number-with-typo"):
        assert [desk.reasons(name, seed) for seed in range(8)] == [[]] * 8


def test_every_summary_is_a_sentence() -> None:
    for file in SCENARIOS.glob("*.yaml"):
        assert re.search(r"\S.*\.$", ALL[file.stem].summary), file.name
