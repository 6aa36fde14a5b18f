"""The gate: may the candidate take the baseline's place? ship, block or inconclusive.

The rule, on the primary metric (turned so that higher is better), over pairs of samples:

    d = candidate - baseline, with a lower and an upper bound of one-sided confidence 1 - alpha each
    required = -margin, or min_gain where the brief asks for a gain

    ship           lower > required          not worse than allowed, or better by what is asked
    block          upper < max(0, required)  it loses, or falls short of the gain, beyond doubt
    inconclusive   neither, or n < min_n     says the n at which a verdict is likely

ship is asked first: a small loss within the margin ships. Block at 0 and not at -margin, since
what surely loses and cannot show that it loses less than the margin should not be waited for. Each
error is at most alpha: shipping what is worse by the margin, blocking an equal under
non-inferiority (with guard_alpha more for the guards; tests/prove.py simulates the whole).

Beside it stand the guards (eval.guards): a secondary metric or protected slice that is shown to be
harmed blocks, whatever the primary metric says. A test set that too many systems were tried on no
longer ships anything: its questions have been learnt by choosing.

The bounds are Tango's score bounds where the metric is a share of independent samples right or
wrong, else those of the BCa bootstrap, over clusters where samples have them.

Where the candidate is the baseline itself (same weights, prompt, settings, options and samples),
d is 0 by construction and nothing is estimated. Refusals come before any number: see `refusals`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from app.core.errors import InputError, Mismatch
from eval import engines, evidence, uses
from eval.compare import Pairs, pair, units
from eval.evidence import Evidence, Verdict
from eval.guards import Guard, guards
from eval.metrics.base import Metric
from eval.paired import binary, discordant, tango
from eval.policy import Rule
from eval.policy import rule as rule_for
from eval.refusals import refusals
from eval.report import Loaded, read
from eval.stats import Groups, Units, difference, n_needed
from eval.task import Task
from eval.tasks import task as task_named

EXIT: dict[Verdict, int] = {"ship": 0, "block": 1, "inconclusive": 3}


class Bounds(NamedTuple):
    """d with its two one-sided bounds, higher being better."""

    value: float
    low: float
    high: float
    n: int


def judge(candidate: Path, baseline: Path, policy: Path | None = None) -> Evidence:
    """`gate` over two folders or report files. A report that was changed since blocks.

    Raises InputError where one is missing, cut short or of another task or data.
    """
    try:
        first, second = read(candidate), read(baseline)
    except Mismatch as changed:
        return evidence.refused([changed.message])
    asked = task_named(first.report.task)
    return gate(asked, first, second, rule_for(asked, policy))


def gate(task: Task, candidate: Loaded, baseline: Loaded, rule: Rule) -> Evidence:
    """The verdict with its evidence. Raises InputError for reports that cannot be paired."""
    refused = refusals(task, candidate, baseline, rule)
    if refused:
        sentence = "Block: the candidate's report is refused. " + " ".join(refused)
        return evidence.collect(candidate, baseline, rule, "block", sentence, refused=refused)
    same = _same_system(candidate, baseline)
    judged = judged_pairs(task, pair(candidate, baseline), rule, same=same)
    verdict, sentence = judged.verdict, judged.sentence
    systems = uses.count(candidate.report.provenance.data.sha256)[1]
    if same:
        sentence += " The candidate is the baseline itself."
    elif verdict == "ship" and systems > rule.max_systems:
        verdict, sentence = "inconclusive", _used_up(systems, rule)
    bounds = judged.bounds
    return evidence.collect(
        candidate, baseline, rule, verdict, sentence, refused=[],
        n=bounds.n, difference=round(bounds.value, 6), low=round(bounds.low, 6),
        high=round(bounds.high, 6), n_needed=judged.needed, guards=judged.guards,
    )  # fmt: skip


class Judged(NamedTuple):
    """What the pairs of samples say."""

    verdict: Verdict
    sentence: str
    bounds: Bounds
    needed: int | None
    guards: list[Guard]


def judged_pairs(task: Task, pairs: Pairs, rule: Rule, *, same: bool = False) -> Judged:
    """Primary metric and guards together; `same`: the two are one system."""
    bounds = _bounds(task, pairs, rule, same)
    verdict = decide(bounds, rule)
    needed = _needed(bounds, rule) if verdict == "inconclusive" else None
    sentence = _sentence(verdict, bounds, rule, needed)
    guarded = [] if same else guards(task, pairs, rule)
    harmed = [guard for guard in guarded if guard.harmed]
    if harmed and verdict != "block":
        verdict, needed, sentence = "block", None, _harm(harmed, sentence)
    return Judged(verdict, sentence, bounds, needed, guarded)


def _harm(harmed: list[Guard], primary: str) -> str:
    said = "; ".join(
        f"{g.name} {g.difference:+.3f} over {g.n} samples, adjusted p {g.adjusted:.2g}"
        for g in harmed
    )
    return f"Block: the candidate harms what the policy guards ({said}). Else: {primary}"


def _used_up(systems: int, rule: Rule) -> str:
    return (
        f"Inconclusive: {systems} systems have been tried on this test set, more than the "
        f"{rule.max_systems} of the policy, so that being best on it no longer shows a gain. "
        "Collect new test samples."
    )


def decide(bounds: Bounds, rule: Rule) -> Verdict:
    """The three-way decision; see the module's docstring."""
    required = _required(rule)
    if bounds.n < rule.min_n:
        return "inconclusive"
    if bounds.low > required:
        return "ship"
    return "block" if bounds.high < max(0.0, required) else "inconclusive"


def _required(rule: Rule) -> float:
    return -rule.margin if rule.min_gain is None else rule.min_gain


def _bounds(task: Task, pairs: Pairs, rule: Rule, same: bool) -> Bounds:
    metric = task.metric(rule.metric)
    both = units(metric, pairs)
    if both is None:
        raise InputError(f"{metric.name} applies to no sample of these reports: nothing to judge")
    a, b, groups = both
    if same:
        return Bounds(0.0, 0.0, 0.0, len(a))
    value, low, high = _difference(metric, a, b, groups, rule)
    if metric.higher_is_better:
        return Bounds(value, low, high, len(a))
    return Bounds(-value, -high, -low, len(a))


def _difference(
    metric: Metric, a: Units, b: Units, groups: Groups | None, rule: Rule
) -> tuple[float, float, float]:
    """(value, low, high) of a - b."""
    confidence = 1 - 2 * rule.alpha
    if groups is None and binary(a, b, metric.of):
        gained, lost = discordant(a, b)
        return (gained - lost) / len(a), *tango(gained, lost, len(a), confidence)
    found = difference(
        a, b, metric.of, seed=rule.seed, confidence=confidence, resamples=rule.resamples,
        scale=metric.scale, groups=groups,
    )  # fmt: skip
    return found.value, found.low, found.high


def _same_system(candidate: Loaded, baseline: Loaded) -> bool:
    one, two = candidate.report.provenance, baseline.report.provenance
    if not engines.fixed(one.model_dump()):
        return False  # a model behind a server may be another one by now
    parts = ("model", "encoder", "prompt", "settings", "options", "code")
    same = all(getattr(one, part) == getattr(two, part) for part in parts)
    adapters = [(made.adapter or {}).get("sha256") for made in (one, two)]
    samples = candidate.report.samples_sha256 == baseline.report.samples_sha256
    return same and samples and adapters[0] == adapters[1]


def _needed(bounds: Bounds, rule: Rule) -> int:
    """n for a verdict at the policy's power, were the true difference the one observed."""
    from scipy.stats import norm

    required = _required(rule)
    to_ship, to_block = bounds.value - required, max(0.0, required) - bounds.value
    gap = max(to_ship, to_block)
    error = (bounds.high - bounds.low) / (2 * float(norm.ppf(1 - rule.alpha)))
    needed = n_needed(bounds.n, error, gap, rule.alpha, rule.power) if gap > 0 else 0
    return max(needed, rule.min_n, bounds.n + 1)


def _sentence(verdict: Verdict, bounds: Bounds, rule: Rule, needed: int | None) -> str:
    sure = f"{1 - rule.alpha:.0%}"
    what = (
        f"on {rule.metric} the candidate is {bounds.value:+.3f} against the baseline over "
        f"{bounds.n} samples (between {bounds.low:+.3f} and {bounds.high:+.3f}, each bound {sure})"
    )
    gain = rule.min_gain
    asked = f"a gain above {gain:g}" if gain is not None else f"a loss below {rule.margin:g}"
    if verdict == "ship":
        loses = " It is worse, but by less than allowed." if bounds.high < 0 else ""
        return f"Ship: {what}; {asked} is shown.{loses}"
    if verdict == "block":
        why = "it is worse" if bounds.high < 0 else f"it does not gain {gain:g}"
        return f"Block: {what}; {why}, and {asked} is not shown."
    if bounds.n < rule.min_n:
        return f"Inconclusive: {what}; the policy asks for at least {rule.min_n} samples."
    return (
        f"Inconclusive: {what}; neither {asked} nor its opposite is shown. About {needed} samples "
        f"would decide, if the difference stays ({rule.power:.0%} of the time)."
    )
