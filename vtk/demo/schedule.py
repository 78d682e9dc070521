"""Which step starts next, and how long the rest will take. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from vtk.demo.plan import Step

_MIN_EVIDENCE_S: Final = 5.0


def startable(
    steps: Sequence[Step], done: Collection[str], running: Collection[str], num_lanes: int
) -> list[Step]:
    """The steps to start now, in the plan's order, as many as there are free lanes.

    Args:
        steps: The plan.
        done: Names of finished steps.
        running: Names of steps at work.
        num_lanes: Steps that may run at once.
    """
    waiting = [step for step in steps if step.name not in done and step.name not in running]
    ready = [step for step in waiting if all(need in done for need in step.needs)]
    return ready[: max(0, num_lanes - len(running))]


def pace(
    steps: Sequence[Step], fractions: Mapping[str, float], elapsed_s: Mapping[str, float]
) -> float:
    """How much longer this machine takes than the plan expects: 1 as expected, 2 twice as long.

    Args:
        steps: The plan.
        fractions: Step -> share of it that was done in the time of `elapsed_s`, from 0 to 1.
        elapsed_s: Step -> seconds spent on that share.
    """
    measured = [step for step in steps if fractions.get(step.name, 0.0) > 0]
    expected_s = sum(step.cost_s * fractions[step.name] for step in measured)
    if expected_s < _MIN_EVIDENCE_S:
        return 1.0
    return sum(elapsed_s[step.name] for step in measured) / expected_s


def remaining_s(
    steps: Sequence[Step],
    fractions: Mapping[str, float],
    running: Collection[str],
    num_lanes: int,
    slowness: float = 1.0,
) -> float:
    """Seconds until the last step ends, by playing the plan through.

    Args:
        steps: The plan.
        fractions: Step -> share that is done; steps that are missing have not begun.
        running: Names of steps at work.
        num_lanes: Steps that may run at once.
        slowness: From `pace`.
    """
    done = {step.name for step in steps if fractions.get(step.name, 0.0) >= 1.0}
    left_s = {step.name: step.cost_s * (1 - fractions.get(step.name, 0.0)) for step in steps}
    active = {name: left_s[name] for name in running if name not in done}
    now_s = 0.0
    while len(done) < len(steps):
        for step in startable(steps, done, active, num_lanes):
            active[step.name] = left_s[step.name]
        if not active:
            break
        soonest_s = min(active.values())
        now_s += soonest_s
        done |= {name for name, rest_s in active.items() if rest_s <= soonest_s}
        active = {n: rest_s - soonest_s for n, rest_s in active.items() if n not in done}
    return now_s * slowness
