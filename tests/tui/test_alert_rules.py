"""The dashboard's own rules, and how alerts are put together: believed because they are few."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tui.conftest import NewRun
from tui.accuracy import accuracies, rollout_accuracies
from tui.alerts import alert_line
from tui.episodes import Episode, episodes_of, grouped
from tui.series import ColumnSeries, ColumnView
from tui.source import LiveSource, Snapshot
from tui.trail import QUARTERS, trail_of, verdict
from tui.watch import watched_alerts
from vtk.runs.owner import HEARTBEAT_INTERVAL_S
from vtk.runs.snapshot import Alert, Attempt, RunState
from vtk.runs.writer import EventWriter


def state_of(**histories: Sequence[float]) -> RunState:
    """A run with these metrics from step 1 on; `__` stands for the slash."""
    history = {name.replace("__", "/"): series_of(values) for name, values in histories.items()}
    longest = max(map(len, histories.values()))
    return RunState(status="running", step=longest, history=history)


def series_of(values: Sequence[float]) -> ColumnView:
    series = ColumnSeries()
    for step, value in enumerate(values, start=1):
        series.add(step, value)
    return series.points()


def rules(state: RunState) -> list[tuple[str, int | None]]:
    return [(alert.rule, alert.step) for alert in watched_alerts(Snapshot(state))]


def test_a_policy_that_comes_back_is_told_once_and_again_after_it_left_again() -> None:
    away, back = [0.4] * 20, [0.02] * 30
    assert rules(state_of(kl__signed=away)) == []
    # the median of ten falls with the sixth low value: step 20 + 6 (or one earlier, of ten even)
    (first,) = rules(state_of(kl__signed=away + back))
    assert first[0] == "kl_return"
    assert first[1] in (25, 26)
    twice = rules(state_of(kl__signed=away + back + away + back))
    assert [rule for rule, _ in twice] == ["kl_return", "kl_return"]
    wobbling = away + back + [0.12] * 20 + back  # above the limit, below recovery: not again
    assert len(rules(state_of(kl__signed=wobbling))) == 1


def test_small_distances_and_gaps_are_no_return() -> None:
    assert rules(state_of(kl__signed=[0.03] * 20 + [0.0] * 20)) == []
    assert rules(state_of(kl__signed=[0.4] * 20 + [math.nan] * 20)) == []
    assert rules(state_of(kl__signed=[math.nan] * 40)) == []
    gappy = [0.4, math.nan] * 15 + [math.inf, 0.02, math.nan] * 12
    assert [rule for rule, _ in rules(state_of(kl__signed=gappy))] == ["kl_return"]


def test_memory_that_creeps_is_told_and_memory_that_is_filled_once_is_not() -> None:
    creeping = [10 + 0.1 * n for n in range(60)]
    assert [rule for rule, _ in rules(state_of(gpu__memory_gib=creeping))] == ["memory_creep"]
    filled = [2.0] * 5 + [30.0, 30.1] * 40
    assert rules(state_of(gpu__memory_gib=filled)) == []


def test_creeping_memory_is_told_where_it_was_first_seen_and_again_after_it_settled() -> None:
    creeping = [10 + 0.1 * n for n in range(200)]
    (first,) = rules(state_of(gpu__memory_gib=creeping[:60]))
    assert rules(state_of(gpu__memory_gib=creeping)) == [first], "one thing happened, at one step"
    settled, again = [creeping[99]] * 60, [creeping[99] + 0.2 * n for n in range(60)]
    told = rules(state_of(gpu__memory_gib=creeping[:100] + settled + again))
    assert told[0] == first
    assert [rule for rule, _ in told] == ["memory_creep", "memory_creep"]
    assert told[1][1] is not None
    assert told[1][1] > 160


def test_an_alert_of_ours_is_dated_by_its_step_and_attempt_however_long_the_run_goes_on() -> None:
    kl, memory = [0.4] * 30 + [0.02] * 70, [10 + 0.1 * n for n in range(100)]
    state = state_of(kl__signed=kl, gpu__memory_gib=memory)
    state = replace(
        state,
        step_times=series_of([1000.0 + 10 * step for step in range(1, 101)]),
        last_event_time=9999.0,
        attempts=(Attempt(1, 1000.0, None), Attempt(2, 1500.0, 49)),
    )
    guard = Alert(90, "reward_floor", "", 0.1, 0.2, 1900.0, 2)
    found = episodes_of(Snapshot(replace(state, alerts=(guard,)), now=9999.0))
    assert [each.first.rule for each in found] == ["kl_return", "memory_creep", "reward_floor"]
    for alert in (each.first for each in found):
        assert alert.step is not None
        assert alert.time == 1000.0 + 10 * alert.step
        assert alert.attempt == (1 if alert.time < 1500 else 2)
    line = alert_line(Snapshot(replace(state, alerts=(guard,)), now=2000.0)).plain
    assert "reward_floor" in line
    assert "1 min 40 s ago" in line


def test_silence_is_one_thing_that_began_when_the_process_was_due() -> None:
    def silent(age_s: float) -> Episode:
        state = RunState(status="running", step=7, heartbeat_age_s=age_s, last_event_time=1000.0)
        (found,) = episodes_of(Snapshot(state, now=1000.0 + age_s))
        return found

    early, late = silent(40.0), silent(90.0)
    assert early.first.message != late.first.message
    assert early.key == late.key
    assert early.first.time == late.first.time == 1000.0 + 3 * HEARTBEAT_INTERVAL_S


def test_a_lost_run_is_an_alert_with_the_command_that_goes_on(
    new_run: NewRun, runs_dir: Path
) -> None:
    from tui.advice import command_for

    with EventWriter(new_run()) as writer:
        writer.step(1, {"reward/mean": 1.0})
    snapshot = LiveSource(runs_dir).look()
    (alert,) = watched_alerts(snapshot)
    assert (alert.rule, "its end was not recorded" in alert.message) == ("lost", True)
    assert command_for(alert, snapshot) == f"vtk train-cdpo --resume {runs_dir / 'mine'}"


def alert(step: int | None, rule: str = "kl_budget_step", value: float = 1.0) -> Alert:
    return Alert(step, rule, "", value, 0.5, float(step or 0), 1)


def test_alerts_near_each_other_are_one_episode() -> None:
    steps = [5, 9, 19, 30]
    episodes = grouped([alert(5), alert(9, value=7.0), alert(19), alert(30)])
    assert [episode.steps for episode in episodes] == ["5-19", "30"]
    assert sum(len(episode.alerts) for episode in episodes) == len(steps)
    assert episodes[0].worst.step == 9


def test_rules_attempts_and_alerts_without_a_step_stay_apart() -> None:
    other = Alert(6, "kl_budget_step", "", 1.0, 0.5, 6.0, 2)
    episodes = grouped([alert(5), alert(6, "nonfinite"), other, alert(None, "pixel_cache")])
    assert len(episodes) == 4
    assert {episode.steps for episode in episodes} == {"5", "6", "–"}


@pytest.mark.parametrize(("distance", "reward"), QUARTERS)
def test_each_quarter_is_named(distance: bool, reward: bool) -> None:
    noise = [0.01 * math.sin(7 * n) for n in range(60)]
    kl = [0.3 + (0.004 if distance else -0.004) * n + noise[n] for n in range(60)]
    rewards = [1.5 + (0.01 if reward else -0.01) * n + noise[-n] for n in range(60)]
    trail = trail_of(state_of(kl__signed=kl, reward__mean=rewards))
    assert trail is not None
    found = verdict(trail)
    assert found is not None
    assert found.quarter == QUARTERS[(distance, reward)]
    assert found.distance.difference == pytest.approx(0.16 if distance else -0.16, abs=0.02)


def test_noise_has_no_quarter_and_a_short_run_no_verdict() -> None:
    noise = [math.sin(7.3 * n) for n in range(60)]
    trail = trail_of(state_of(kl__signed=noise, reward__mean=noise[::-1]))
    assert trail is not None
    found = verdict(trail)
    assert found is not None
    assert found.quarter is None
    assert "no clear change of signed KL and reward" in found.meaning
    short = trail_of(state_of(kl__signed=[0.1] * 5, reward__mean=[1.0] * 5))
    assert short is not None
    assert verdict(short) is None
    assert trail_of(state_of(reward__mean=[1.0])) is None


def test_the_interval_of_rollouts_counts_steps_and_not_completions() -> None:
    shares = [1.0, 0.0] * 5
    state = state_of(acc__inferential=shares, acc__inferential_n=[16.0] * 10)
    found = rollout_accuracies(state)["inferential"]
    assert (found.n, found.accuracy) == (160, 0.5)
    assert found.ci95 is not None
    # ten clusters of equal size: 1.96 sqrt(10/9 * 10 * (16 * 0.5)^2) / 160
    assert found.ci95[1] - 0.5 == pytest.approx(1.96 * math.sqrt(10 / 9 * 10 * 64) / 160)
    few = state_of(acc__inferential=shares[:4], acc__inferential_n=[16.0] * 4)
    assert rollout_accuracies(few)["inferential"].ci95 is None
    origin = accuracies(state)
    assert origin is not None
    assert origin.origin == "rollouts, last 20 steps"
