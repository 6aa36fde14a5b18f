"""conversations: does the whole chat serve its customers, turn after turn, and keep its books?

Data: a folder of scenarios (eval.scenario), each run with SEEDS seeds; `#scripted` keeps those that
a chat without weights can be asked. The call is Services.chat over a database of its own. Without
options it is what `python -m app` serves, with --model REF what `python -m app --model REF` does;
--system and --adapter take a chat of the support task. Scenarios marked `expected: fail` are run
and counted like the others. Slices by kind, mark and language.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from app.core import data as references
from app.core import settings as app_settings
from app.core.errors import InputError, nearest
from app.core.files import DEMO, sha256_files
from app.core.records import read_rows
from app.core.redact import redact
from app.models.base import Options
from app.serving.features import Loaders, loaders
from app.serving.loading import Loaded
from app.support.systems import SYSTEMS
from eval import chats
from eval.customer import Customer
from eval.metrics import as_expected, pass_k
from eval.metrics.as_expected import SEEDS
from eval.samples import Row, Sample, Scored
from eval.scenario import Scenario, load
from eval.task import Data, Request, System, Task

if TYPE_CHECKING:
    from app.support.chat import SupportChat

ARTICLES = "demo:support"
NO_DEADLINE_S = 3600.0
SHOP = ("recommend/items.csv", "shop/customers.csv", "shop/orders.csv")
"""Of the demo folder: what the shop's database is made from."""


class Verdict(NamedTuple):
    """What became of one run."""

    reasons: list[str]
    turns: int
    transcript: str


def read(ref: str) -> Data:
    """A sample for each scenario and seed; the source is {scenario's name: scenario}."""
    parsed = references.parse_ref(ref)
    path = references.path_of(parsed)
    if path is None:
        raise InputError(f"{ref}: expected a folder of scenarios, such as demo:scenarios")
    if parsed.split not in (None, "real", "scripted"):
        raise InputError(f"{ref}: expected #real, #scripted or neither")
    scenarios = [s for s in load(path) if parsed.split in (None, *s.systems)]
    orders = {row["order"] for row in read_rows(DEMO / "shop" / "orders.csv")}
    for scenario in scenarios:
        _known(path, scenario, "order", scenario.orders, orders)
        _known(path, scenario, "article", scenario.articles, set(_articles().values()))
    samples = [_sample(scenario, seed) for scenario in scenarios for seed in range(SEEDS)]
    return Data(samples, _shop(), {scenario.name: scenario for scenario in scenarios})


def build(request: Request, data: Data) -> System:
    """The product over the demo shop, with the chat that the request names."""
    from eval.checks import Judge, failures
    from eval.people import People
    from eval.simulate import Shop

    # The page's settings, but no deadline: a slow machine shall not change an answer.
    changed = {"model": request.model, "deadline_s": NO_DEADLINE_S}
    settings = app_settings.load().model_copy(update=changed)
    name, load, adapter = _served(request, settings)
    shop = Shop(load, settings)
    judge = Judge(_articles(), People(shop.template))

    def verdict(sample: Sample) -> Verdict:
        scenario: Scenario = data.source[pass_k.scenario_of(sample.id)]
        outcome = shop.play(scenario, int(sample.id.rpartition("#")[2]))
        reasons = failures(scenario, outcome, judge)
        text = redact(outcome.transcript()).text if reasons else ""
        return Verdict(reasons, len(outcome.exchanges), text)

    def predict(samples: Sequence[Sample]) -> list[Verdict]:
        return [verdict(sample) for sample in samples]

    return System(name, predict, _identity(shop.chat) | adapter)


def score(sample: Sample, said: Verdict | None) -> Scored:  # noqa: ARG001
    """1 for a run without a reason against it; the transcript of one that failed."""
    if said is None:
        scores = {pass_k.SCORE: 0.0, as_expected.CRASHED: 1.0}
        return Scored(scores, {"reasons": ["the product raised an error"]})
    scores = {pass_k.SCORE: float(not said.reasons), as_expected.CRASHED: 0.0}
    told = {"reasons": said.reasons, "turns": said.turns}
    # Reasons once more before the words: a page that shows a sample shows its text.
    text = "\n".join([*said.reasons, said.transcript]) if said.reasons else None
    return Scored(scores, told, text)


def remarks(rows: Sequence[Row]) -> list[str]:
    """What did not turn out as marked, then every other scenario that failed; a line each."""
    unexpected = surprises(rows)
    failed = [_told(name, group) for name, group in pass_k.runs(rows).items() if _failed(group)]
    return [*(f"unexpected: {line}" for line in unexpected),
            *(line for line in failed if line not in unexpected)]  # fmt: skip


def surprises(rows: Sequence[Row]) -> list[str]:
    """Scenarios that did not turn out as marked. With too few runs none passes by surprise."""
    return [
        _told(name, group)
        for name, group in pass_k.runs(rows).items()
        if not as_expected.as_expected(group) and (_failed(group) or len(group) >= SEEDS)
    ]


def _failed(group: Sequence[Row]) -> list[Row]:
    return [row for row in group if row.scores[pass_k.SCORE] != 1]


def _told(name: str, group: Sequence[Row]) -> str:
    failed = _failed(group)
    if not failed:
        return f"{name} passes with all seeds: mark it `expected: pass`"
    seeds = ", ".join(row.id.rpartition("#")[2] for row in failed)
    reason = failed[0].error or failed[0].prediction["reasons"][0]
    return f"{name} failed {len(failed)} of {len(group)} (seeds {seeds}): {reason}"


def _served(
    request: Request, settings: app_settings.Settings
) -> tuple[str, Loaders, dict[str, Any]]:
    """The system's name, its loaders, and its adapter for provenance."""
    load = loaders(settings)
    if request.system is None and request.adapter is None:
        return request.model or "released", load, {}
    options = Options(settings.max_new_tokens, deadline_s=settings.deadline_s)
    docs = references.corpus(ARTICLES).docs
    made, name, adapter = chats.named(request, docs, options)
    return name, load | {"support": (lambda: Loaded(made, made.release_id), None)}, adapter


def _identity(chat: SupportChat) -> dict[str, Any]:
    made = chats.identity(chat)
    options = {**made["options"], **_shop()}
    return made | {"options": options, "release": chat.release_id}


def _shop() -> dict[str, Any]:
    """Which articles and which shop the conversations are about."""
    shop = sha256_files([DEMO / name for name in SHOP])
    return {"articles": references.sha256_of(ARTICLES), "shop": shop}


def _articles() -> dict[str, str]:
    """Public articles, each with its original."""
    docs = [d for d in references.corpus(ARTICLES).docs if d.get("visibility") != "agents"]
    return {str(doc["id"]): str(doc.get("same_as") or doc["id"]) for doc in docs}


def _known(path: Path, scenario: Scenario, what: str, named: set[str], known: set[str]) -> None:
    for name in sorted(named - known):
        hint = nearest(name, known)
        raise InputError(
            f"{path / scenario.name}.yaml: the demo shop has no {what} {name!r}.{hint}"
        )


def _sample(scenario: Scenario, seed: int) -> Sample:
    """Its text is the customer's first message."""
    first = Customer(scenario, seed).next(None)
    slices = {"kind": scenario.kind, "expected": scenario.expected, "language": scenario.language}
    assert first is not None
    return Sample(f"{scenario.name}#{seed}", first.text, scenario.expected, slices)


TASK = Task(
    name="conversations",
    summary="does the chat serve whole conversations, and keep the shop's books straight?",
    data="demo:scenarios",
    metrics=(pass_k.metric(1), pass_k.metric(SEEDS), as_expected.METRIC),
    systems=SYSTEMS,
    packages=(
        "app/support", "app/knowledge", "app/serving", "app/store", "app/services.py",
        "eval/scenario.py", "eval/customer.py", "eval/simulate.py", "eval/books.py",
        "eval/people.py", "eval/checks.py",
    ),
    read=read,
    build=build,
    score=score,
    remarks=remarks,
)  # fmt: skip
