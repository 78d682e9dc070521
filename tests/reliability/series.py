"""T10: guards fire when they should and not otherwise, on recorded and simulated runs."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

from tests.reliability.figures import Figures, quantile
from vtk.config.sections import GuardSettings
from vtk.train.guards import Guards

RECORDED = Path(__file__).with_name("recorded_series.json")
"""Runs of `vtk demo --seeds --ablations` with the tiny model: stage and seed, metric, steps.

`cdpo-strong` has ten times the demo's beta and collapses; the others do not.
"""
SETTINGS = GuardSettings(
    kl_budget_step=2.0,
    kl_budget_run=1.0,
    entropy_floor=0.01,
    reward_floor=1.0,
    format_floor=0.5,
    truncated_frac_max=0.5,
    zero_variance_frac_max=0.9,
    grad_norm_max=20.0,
    grad_spike_ratio=20.0,
    logp_gap_max=1.0,
    window_steps=20,
)
ONSET_STEP, NUM_STEPS, USUAL_GRAD_NORM = 100, 300, 0.6

Step = dict[str, float]
Change = Callable[[Step, int, random.Random], None]


def healthy_series(seed: int, num_steps: int = NUM_STEPS) -> list[Step]:
    """A run as the recorded ones: learning, noisy, heavy-tailed in its gradients."""
    draw = random.Random(seed)
    made, wander = [], 0.0
    for step in range(num_steps):
        wander = 0.9 * wander + draw.gauss(0, 0.02)
        groups = [draw.random() < 0.5 + 0.2 * step / num_steps for _ in range(6)]
        made.append(
            {
                "kl/signed": 0.3 * step / num_steps + wander,
                "entropy/mean": max(0.03, 0.25 - 0.15 * step / num_steps + wander),
                "reward/mean": min(2.0, draw.gauss(1.7, 0.12)),
                "reward/format": min(1.0, draw.gauss(0.97, 0.03)),
                "reward/zero_variance_frac": sum(groups) / len(groups),
                "completion/truncated_frac": max(0.0, draw.gauss(-0.02, 0.03)),
                "optim/grad_norm": draw.lognormvariate(math.log(USUAL_GRAD_NORM), 0.55),
                "sampling/logp_gap_max": draw.lognormvariate(-4.0, 0.8),
            }
        )
    return made


def _set(name: str, value: float) -> Change:
    def change(step: Step, _: int, __: random.Random) -> None:
        step[name] = value

    return change


def _entropy_collapse(step: Step, since: int, _: random.Random) -> None:
    step["entropy/mean"] *= 0.9**since


def _kl_ramp(step: Step, since: int, _: random.Random) -> None:
    step["kl/signed"] += 0.05 * since


def _cap(step: Step, since: int, draw: random.Random) -> None:
    step["completion/truncated_frac"] = min(1.0, draw.uniform(0.5, 1.0) * since / 10)


def _spike(step: Step, since: int, _: random.Random) -> None:
    if since == 0:
        step["optim/grad_norm"] = 60.0 * USUAL_GRAD_NORM


FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "entropy falls by a tenth a step": (_entropy_collapse, ("entropy_floor",)),
    "rewards all equal": (_set("reward/zero_variance_frac", 1.0), ("zero_variance_frac_max",)),
    "reward gone": (_set("reward/mean", 0.0), ("reward_floor",)),
    "format gone": (_set("reward/format", 0.0), ("format_floor",)),
    "completions at the cap": (_cap, ("truncated_frac_max",)),
    "KL ramps by 0.05 a step": (_kl_ramp, ("kl_budget_run", "kl_budget_step")),
    "one gradient of 60 times the usual": (_spike, ("grad_spike_ratio", "grad_norm_max")),
    "sampler disagrees by 5 nats": (_set("sampling/logp_gap_max", 5.0), ("logp_gap_max",)),
}
"""What goes wrong from the onset on, and the guards of which one has to say so."""


def first_alert(series: list[Step], rules: tuple[str, ...]) -> int | None:
    """Index of the step at which one of the guards fires first."""
    guards = Guards(SETTINGS)
    for place, step in enumerate(series):
        if any(alert.rule in rules for alert in guards.observe(step, False)):
            return place
    return None


def false_alarms(series: list[Step]) -> list[str]:
    """Everything that fires on a series; a healthy one's are false."""
    guards = Guards(SETTINGS)
    return [alert.rule for step in series for alert in guards.observe(step, False)]


def faulty_series(seed: int, change: Change) -> list[Step]:
    """A healthy run with a fault from the onset on."""
    series, draw = healthy_series(seed), random.Random(seed)
    for place in range(ONSET_STEP, len(series)):
        change(series[place], place - ONSET_STEP, draw)
    return series


def recorded() -> dict[str, list[Step]]:
    """The recorded runs as steps."""
    runs = json.loads(RECORDED.read_text())
    return {
        name: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for name, columns in runs.items()
    }


def watch_series(num_healthy: int, num_faulty: int) -> Figures:
    """False alarms on healthy runs, delays on faulty ones."""
    result = Figures("T10", "Guards fire when they should and not otherwise")
    quiet = [rule for seed in range(num_healthy) for rule in false_alarms(healthy_series(seed))]
    result.check(not quiet, f"false alarms: {quiet}")
    rate = 1000 * len(quiet) / (num_healthy * NUM_STEPS)
    result.figures.append(f"simulated, healthy: {rate:.2f} false alarms per 1000 steps")
    for name, (change, rules) in FAULTS.items():
        found = [first_alert(faulty_series(seed, change), rules) for seed in range(num_faulty)]
        delays = [place - ONSET_STEP for place in found if place is not None]
        result.check(len(delays) == num_faulty, f"{name}: seen in {len(delays)} of {num_faulty}")
        late = f"median {quantile(delays, 0.5):.0f}, at most {max(delays)} steps"
        result.figures.append(f"{name}: {late} ({' or '.join(rules)})")
    _watch_recorded(result)
    simulated = f"{num_healthy} healthy and {len(FAULTS)} x {num_faulty} faulty simulated runs"
    result.count = f"{simulated} of {NUM_STEPS} steps, {len(recorded())} recorded"
    return result


def _watch_recorded(result: Figures) -> None:
    runs = recorded()
    healthy = {name: run for name, run in runs.items() if "strong" not in name}
    quiet = [(name, rule) for name, run in healthy.items() for rule in false_alarms(run)]
    num_steps, told = sum(map(len, healthy.values())), f"{len(quiet)} alarms"
    result.check(not quiet, f"recorded healthy runs: {quiet}")
    result.figures.append(f"{len(healthy)} recorded healthy runs: {told} in {num_steps} steps")
    for name in sorted(runs.keys() - healthy.keys()):
        at = first_alert(runs[name], tuple(GuardSettings.model_fields))
        dead = next((n for n, step in enumerate(runs[name]) if step["reward/format"] == 0.0), None)
        result.check(at is not None and dead is not None and at < dead, f"{name}: {at}, {dead}")
        last = f"no format left in step {(dead or 0) + 1}"
        result.figures.append(f"{name}: first alert in step {(at or 0) + 1}, {last}")
