"""Guards fire when a limit is crossed, once, with the evidence, and not otherwise."""

import math

import pytest

from vtk.config.sections import GuardSettings
from vtk.errors import GuardStop
from vtk.train.guards import Alert, Guards

HEALTHY = {
    "kl/signed": 0.1,
    "entropy/mean": 1.0,
    "reward/mean": 1.0,
    "reward/format": 0.9,
    "completion/truncated_frac": 0.05,
    "optim/grad_norm": 2.0,
    "loss/total": 0.01,
    "reward/zero_variance_frac": 0.4,
    "sampling/logp_gap_max": 0.01,
}
ALL_ON = GuardSettings(
    kl_budget_step=1.0,
    kl_budget_run=0.5,
    zero_variance_frac_max=0.9,
    grad_spike_ratio=4.0,
    logp_gap_max=0.5,
    entropy_floor=0.2,
    reward_floor=0.5,
    format_floor=0.5,
    truncated_frac_max=0.5,
    grad_norm_max=10.0,
    window_steps=3,
)


def _restart(setting: str) -> str:
    return f"begin again with {setting}"


@pytest.mark.parametrize(
    ("metric", "value", "rule", "delay_steps"),
    [
        ("kl/signed", 1.5, "kl_budget_step", 1),
        ("kl/signed", -1.5, "kl_budget_step", 1),
        ("entropy/mean", 0.1, "entropy_floor", 1),
        ("optim/grad_norm", 11.0, "grad_norm_max", 1),
        ("optim/grad_norm", 9.0, "grad_spike_ratio", 1),
        ("sampling/logp_gap_max", 0.6, "logp_gap_max", 1),
        ("kl/signed", 0.9, "kl_budget_run", 2),
        ("kl/signed", -0.9, "kl_budget_run", 2),
        ("reward/zero_variance_frac", 1.0, "zero_variance_frac_max", 3),
        ("reward/mean", 0.1, "reward_floor", 2),
        ("reward/format", 0.0, "format_floor", 2),
        ("completion/truncated_frac", 1.0, "truncated_frac_max", 2),
    ],
)
def test_each_limit(metric: str, value: float, rule: str, delay_steps: int) -> None:
    guards = Guards(ALL_ON)
    for _ in range(5):
        assert guards.observe(HEALTHY, False) == []
    alerts: list[Alert] = []
    for step in range(1, 4):
        new = guards.observe(HEALTHY | {metric: value}, False)
        alerts += [alert for alert in new if alert.rule == rule]
        assert bool(alerts) == (step >= delay_steps)
    assert [alert.rule for alert in alerts] == [rule]
    assert alerts[0].threshold == getattr(ALL_ON, rule)
    assert metric in alerts[0].message


def test_a_healthy_run_alerts_nothing() -> None:
    guards = Guards(ALL_ON)
    for step in range(300):
        wobble = 0.3 * math.sin(step)
        metrics = {name: value * (1 + wobble) for name, value in HEALTHY.items()}
        assert guards.observe(metrics, False) == []


def test_a_spike_is_measured_against_the_runs_own_history() -> None:
    guards = Guards(ALL_ON.model_copy(update={"grad_norm_max": None}))
    quiet = [guards.observe(HEALTHY | {"optim/grad_norm": norm}, False) for norm in (1e3, 9e2, 2e3)]
    assert quiet == [[], [], []]
    assert guards.observe(HEALTHY | {"optim/grad_norm": 3e3}, False) == []
    (alert,) = guards.observe(HEALTHY | {"optim/grad_norm": 9e3}, False)
    assert (alert.rule, alert.threshold) == ("grad_spike_ratio", 4.0)
    assert alert.value == pytest.approx(4.5)
    assert "4.5 times its recent median" in alert.message
    assert guards.observe(HEALTHY | {"optim/grad_norm": math.nan}, False) == []


def test_state_of_another_version_is_taken_as_far_as_it_goes() -> None:
    guards = Guards(ALL_ON)
    state = guards.state() | {"window": {"no/such": [1.0], "reward_floor": [0.0, 0.0]}}
    guards.restore(state)
    assert [a.rule for a in guards.observe(HEALTHY | {"reward/mean": 0.0}, False)] == [
        "reward_floor"
    ]


def test_limits_that_are_off_never_fire() -> None:
    guards = Guards(GuardSettings())
    assert guards.observe(dict.fromkeys(HEALTHY, 1e9), False) == []


def test_a_limit_alerts_again_only_after_it_was_kept() -> None:
    guards = Guards(ALL_ON)
    seen = [
        len(guards.observe(HEALTHY | {"entropy/mean": value}, False))
        for value in (0.1, 0.1, 1.0, 0.1)
    ]
    assert seen == [1, 0, 0, 1]


def test_a_breach_stops_unless_only_alerts_are_wanted() -> None:
    crossed = HEALTHY | {"entropy/mean": 0.0}
    guards = Guards(ALL_ON)
    stop = guards.stop_reason(guards.observe(crossed, False), _restart)
    assert isinstance(stop, GuardStop)
    assert str(stop.hint).endswith("begin again with guards.entropy_floor")
    lenient = Guards(ALL_ON.model_copy(update={"on_breach": "alert"}))
    assert lenient.stop_reason(lenient.observe(crossed, False), _restart) is None


def test_nonfinite_steps_stop_only_in_a_row() -> None:
    guards = Guards(GuardSettings(max_nonfinite_steps=3, on_breach="alert"))
    bad = HEALTHY | {"optim/grad_norm": math.nan}
    stops = []
    for is_skipped in (True, True, False, True, True, True):
        alerts = guards.observe(bad if is_skipped else HEALTHY, is_skipped)
        assert [alert.rule for alert in alerts] == ["nonfinite"] * is_skipped
        stops.append(guards.stop_reason(alerts, _restart) is not None)
    assert stops == [False] * 5 + [True]


def test_state_comes_back() -> None:
    guards, resumed = Guards(ALL_ON), Guards(ALL_ON)
    for _ in range(2):
        guards.observe(HEALTHY | {"reward/mean": 0.0, "entropy/mean": 0.0}, True)
    resumed.restore(guards.state())
    after = [each.observe(HEALTHY | {"reward/mean": 0.0}, True) for each in (guards, resumed)]
    assert after[0] == after[1]
    assert [alert.rule for alert in after[0]] == ["nonfinite", "reward_floor"]
    assert resumed.stop_reason([], _restart) is not None
