"""A plan and its advice as text, a line a subject."""

from __future__ import annotations

from typing import Any

from finetune.units import clock, scaled, size


def text(plan: dict[str, Any]) -> str:
    """What `python -m finetune plan` prints."""
    lines = [
        f"{plan['task']} by {plan['method']} on {plan['model']}, {plan['machine']['processor']}, "
        f"{plan['machine']['cores']} cores",
        *(f"  {name:<11}{told}" for name, told in _subjects(plan)),
    ]
    return "\n".join(lines)


def _subjects(plan: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("parameters", _parameters(plan["parameters"])),
        ("data", _data(plan["data"])),
        *_memory(plan["memory"], plan["machine"]),
        *_work(plan["work"]),
        *_time(plan["time"]),
        ("cost", _cost(plan["cost"])),
        *(("advice" if n == 0 else "", one) for n, one in enumerate(plan["advice"]["sentences"])),
    ]


def _parameters(found: dict[str, int]) -> str:
    share = 100 * found["trained"] / found["total"]
    return f"{found['trained']:,} trained of {found['total']:,} ({share:.2g} %)"


def _data(found: dict[str, Any]) -> str:
    labels = f", {found['labels']} labels" if found["labels"] else ""
    return (
        f"{found['rows']:,} rows{labels}; {found['steps']:,} steps in {found['epochs']:g} epochs "
        f"over {scaled(found['tokens'])} tokens, padding included"
    )


def _memory(found: dict[str, int], machine: dict[str, Any]) -> list[tuple[str, str]]:
    names = ("weights", "gradients", "optimiser", "activations")
    parts = " + ".join(f"{name} {size(found[name])}" for name in names)
    peak, before = found["measured_peak"], found["before_model"]
    return [
        ("memory", f"{size(found['formula'])} by formula: {parts}"),
        ("", f"{size(peak)} measured at the fullest, {size(before)} of it before the model came; "
         f"the machine has {machine['memory_gb']} GB"),
    ]  # fmt: skip


def _work(found: dict[str, float]) -> list[tuple[str, str]]:
    return [
        ("work", f"{scaled(found['flops'])}FLOP (Kaplan et al. 2020): forward 2N a token, back "
         "through the weights 2N, gradients 2N_trained, attention"),
        ("", f"{scaled(found['flops_per_second'])}FLOP/s while training, "
         f"{100 * found['share_of_matmul']:.0f} % of what a matrix product reaches here "
         f"({scaled(found['matmul_flops_per_second'])}FLOP/s)"),
    ]  # fmt: skip


def _time(found: dict[str, Any]) -> list[tuple[str, str]]:
    whole, dev = found["whole"], found["dev"]
    return [
        ("time", f"{clock(whole['value'])}, {clock(whole['low'])} to {clock(whole['high'])} in 95 "
         f"of 100 resamples of the {found['probed_steps']} steps timed; other work on the machine "
         "is not in it"),
        ("", f"training {clock(found['training'])}, {dev['looks']} looks at dev of "
         f"{clock(dev['each'])}, checkpoints {clock(found['saving'])}, loading "
         f"{clock(found['loading'])}"),
    ]  # fmt: skip


def _cost(found: dict[str, float | None]) -> str:
    if found["run"] is None:
        return "say what an hour of this machine costs with --price-per-hour"
    return f"{found['run']:.4g} for the run at {found['price_per_hour']:g} an hour"
