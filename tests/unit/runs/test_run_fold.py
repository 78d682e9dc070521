"""What each event does to the picture of a run."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtk.runs.events import EVENT_PAYLOADS, METRICS, decode_event, encode_event
from vtk.runs.fold import EventFold
from vtk.runs.series import Series
from vtk.runs.snapshot import RunState
from vtk.runs.state import fold

Event = dict[str, Any]


def event(type: str, seq: int = 0, /, **payload: Any) -> Event:
    return {"v": 1, "seq": seq, "time": 1000.0 + seq, "mono": 10.0 + seq, "type": type} | payload


def step(number: int, **metrics: float) -> Event:
    return event("step", number, step=number, metrics={"loss/total": float(number)} | metrics)


def attempt(resumed_from_step: int | None, seq: int = 0) -> Event:
    return event("attempt_started", seq, resumed_from_step=resumed_from_step, num_steps=100)


def picture(*events: Event) -> RunState:
    folded = EventFold()
    for each in events:
        folded.add(each)
    return folded.snapshot()


def test_no_event_is_a_run_that_was_only_created() -> None:
    state = fold([])
    assert (state.status, state.step, state.gpu.devices) == ("created", 0, ())
    assert state.gpu.absent_reason == "the run has not reported its devices yet"


def test_steps_make_history_and_latest_values() -> None:
    state = picture(
        event("run_started", stage="bias", num_steps=9), *(step(n, extra=n / 2) for n in (1, 2, 3))
    )
    assert (state.stage, state.step, state.num_steps) == ("bias", 3, 9)
    assert state.history["loss/total"] == ((1, 1.0), (2, 2.0), (3, 3.0))
    assert state.metrics == {"loss/total": 3.0, "extra": 1.5}


def test_a_metric_that_is_null_is_left_out_and_nan_is_kept() -> None:
    state = picture(event("step", step=1, metrics={"a": None, "loss/total": math.nan}))
    assert set(state.history) == {"loss/total"}
    assert math.isnan(state.metrics["loss/total"])
    assert state.num_unreadable_lines == 0


def test_a_step_written_twice_or_late_keeps_the_curve_in_order() -> None:
    state = picture(step(1), step(3), step(2), event("step", step=3, metrics={"loss/total": 9.0}))
    assert state.history["loss/total"] == ((1, 1.0), (2, 2.0), (3, 9.0))
    assert state.step == 3


def test_a_new_attempt_drops_later_steps_of_the_earlier_one() -> None:
    state = picture(
        attempt(None),
        *(step(n) for n in range(1, 8)),
        event("checkpoint_saved", step=4, path="checkpoints/step_000004"),
        event("checkpoint_saved", step=6, path="checkpoints/step_000006"),
        event("rollouts", step=4, path="rollouts/step_000004.jsonl", count=8),
        event("rollouts", step=7, path="rollouts/step_000007.jsonl", count=8),
        event("eval_result", step=4, suite="s", per_type={}),
        event("eval_result", step=6, suite="s", per_type={}),
        event("eval_result", step=None, suite="t", per_type={}),
        event("alert", step=7, rule="r", message="m"),
        attempt(4),
        event("step", 50, step=5, metrics={"loss/total": 55.0}),
    )
    assert state.history["loss/total"] == ((1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 55.0))
    assert state.step == 5
    assert state.step_times == (*((n, 1000.0 + n) for n in range(1, 5)), (5, 1050.0))
    assert [checkpoint.step for checkpoint in state.checkpoints] == [4]
    assert [rollout.step for rollout in state.rollouts] == [4]
    assert [result.step for result in state.eval_history] == [4, None]
    assert [alert.attempt for alert in state.alerts] == [1], "what happened stays"
    assert [a.resumed_from_step for a in state.attempts] == [None, 4]


def test_an_attempt_from_the_beginning_drops_everything() -> None:
    state = picture(attempt(None), step(1), step(2), attempt(None))
    assert state.history == {}
    assert state.metrics == {}
    assert state.step == 0


def test_an_ended_run_that_is_resumed_is_no_longer_ended() -> None:
    end = event("run_finished", status="failed", error_kind="DataError", message="gone")
    assert picture(attempt(None), end).status == "failed"
    again = picture(attempt(None), end, attempt(2))
    assert (again.status, again.error_kind, again.error_message) == ("running", None, None)


@pytest.mark.parametrize("status", ["finished", "failed", "stopped"])
def test_the_last_event_says_how_it_ended(status: str) -> None:
    state = fold([attempt(None), event("run_finished", status=status), event("note")])
    assert state.status == status


def test_without_a_witness_an_open_run_is_lost() -> None:
    assert fold([attempt(None), step(1)]).status == "lost"


def test_evaluations_are_kept_per_suite_and_type() -> None:
    per_type = {
        "observational": {"n": 10, "accuracy": 0.9, "ci95": [0.7, 1.0], "num_errors": 1},
        "inferential": {"n": 0, "accuracy": None, "ci95": None},
    }
    later = {"observational": {"n": 10, "accuracy": 0.5, "ci95": [0.2, math.nan]}}
    state = picture(
        event("eval_result", step=5, suite="mini", per_type=per_type),
        event("eval_result", step=5, suite="other", per_type={}),
        event("eval_result", step=9, suite="mini", per_type=later),
    )
    assert state.eval_history[0].per_type["observational"].ci95 == (0.7, 1.0)
    assert state.eval_history[0].per_type["inferential"].accuracy is None
    assert state.evals["mini"].step == 9
    assert state.latest_eval is state.eval_history[-1]
    document = state.to_dict()
    assert document["per_type"]["observational"]["n"] == 10
    assert document["per_type"]["observational"]["ci95"] == [0.2, "NaN"]


def test_devices_or_why_there_are_none() -> None:
    device = {"index": 0, "name": "H100", "memory_used_gib": 11.5}
    with_one = picture(event("gpu", devices=[device], absent_reason=None))
    assert with_one.gpu.devices == (device,)
    without = picture(event("gpu", devices=[], absent_reason="no driver", process_memory_gib=2.5))
    assert without.gpu.absent_reason == "no driver"
    assert without.gpu.process_memory_gib == 2.5


def test_what_was_asked_skipped_and_done_is_kept() -> None:
    state = picture(
        event("control", id="1", action="set_beta", args={"beta": -0.1}, who="a@b", result="done"),
        *(event("sample_skipped", path=f"{n}.mp4", reason="short") for n in range(9)),
        event("phase", name="generate"),
    )
    assert state.controls[0].args == {"beta": -0.1}
    assert state.num_samples_skipped == 9
    assert [skipped.path for skipped in state.last_samples_skipped] == [
        f"{n}.mp4" for n in range(4, 9)
    ]
    assert state.phase == "generate"


def test_what_an_earlier_attempt_skipped_after_the_checkpoint_is_not_counted_twice() -> None:
    skipped = [event("sample_skipped", step=n, path=f"{n}.mp4", reason="short") for n in (1, 2, 3)]
    again = event("attempt_started", resumed_from_step=1)
    assert picture(*skipped, again, *skipped[1:]).num_samples_skipped == 3
    assert picture(*skipped, again).num_samples_skipped == 1


def test_unknown_types_are_counted_and_newer_versions_noted() -> None:
    state = picture(event("surprise"), event("surprise"), event("other") | {"v": 7})
    assert state.unknown_types == {"surprise": 2, "other": 1}
    assert state.newest_version == 7
    assert state.num_unreadable_lines == 0


@pytest.mark.parametrize(
    "bad",
    [
        event("step", step="1", metrics={}),
        event("step", step=-1, metrics={}),
        event("step", step=True, metrics={}),
        event("step", metrics={}),
        event("step", step=1, metrics=[1]),
        event("step", step=1, metrics={"a": "high"}),
        event("step", step=1, metrics={"a": 10**400}),
        event("phase"),
        event("phase", name=3),
        event("rollouts", step=1, path="x"),
        event("checkpoint_saved", step=1),
        event("eval_result", step=1, suite="s", per_type={"all": {"accuracy": 1}}),
        event("eval_result", step=1, suite="s", per_type={"all": 3}),
        event("eval_result", step=1, suite="s", per_type={"all": {"n": 1, "ci95": [0]}}),
        event("gpu"),
        event("gpu", devices=[3]),
        event("alert", step=1, rule="r"),
        event("alert", step=1, rule="r", message="m", value="big"),
        event("control", id=3, action="stop"),
        event("sample_skipped", path="x"),
        event("attempt_started", resumed_from_step="four"),
        event("run_started", num_steps=1.5),
        event("run_finished", status="exploded"),
        event("run_finished"),
    ],
)
def test_an_event_that_breaks_its_promise_is_counted_and_changes_nothing(bad: Event) -> None:
    before, after = picture(attempt(None), step(1)), picture(attempt(None), step(1), bad)
    assert after.num_unreadable_lines == 1
    assert after.last_unreadable_lines[0].line == 3
    assert bad["type"] in after.last_unreadable_lines[0].reason
    same = ("status", "step", "history", "attempts", "alerts", "eval_history", "gpu", "checkpoints")
    assert all(getattr(before, name) == getattr(after, name) for name in same)


def test_time_left_and_time_worked_follow_the_monotonic_clock() -> None:
    steps = [
        event("step", step=n, metrics={}) | {"mono": 100.0 + 2 * n, "time": 1e9 - n * 86400}
        for n in range(1, 11)
    ]
    state = picture(event("run_started", num_steps=20) | {"mono": 100.0}, *steps)
    assert state.elapsed_s == pytest.approx(20.0)
    assert state.eta_s == pytest.approx(20.0)


def test_attempts_add_up_over_a_reboot() -> None:
    first = [attempt(None) | {"mono": 5000.0}, step(1) | {"mono": 5030.0}]
    second = [attempt(1) | {"mono": 3.0}, step(2) | {"mono": 13.0}, step(3) | {"mono": 23.0}]
    state = picture(*first, *second)
    assert state.elapsed_s == pytest.approx(30.0 + 20.0)
    assert state.eta_s == pytest.approx(97 * 10.0)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=12))
def test_no_clock_makes_a_negative_duration(clocks: list[tuple[float, float]]) -> None:
    events = [step(n) | {"time": t, "mono": m} for n, (t, m) in enumerate(clocks)]
    state = picture(attempt(None), *events)
    assert state.elapsed_s >= 0
    assert state.eta_s is None or state.eta_s >= 0
    assert [number for number, _ in state.history.get("loss/total", ())] == list(range(len(clocks)))


_scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_nested = st.recursive(
    _scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@st.composite
def _any_event(draw: st.DrawFn) -> Event:
    type = draw(st.sampled_from(list(EVENT_PAYLOADS)))
    payload = {name: draw(_nested) for name in EVENT_PAYLOADS[type]}
    return event(type, draw(st.integers(0, 10**6))) | payload


@given(st.lists(_any_event(), max_size=8))
def test_any_log_gives_a_picture_that_is_json(events: list[Event]) -> None:
    state = fold(decode_event(encode_event(each)) for each in events)
    assert state.num_events == len(events)
    json.dumps(state.to_dict(), allow_nan=False)


def test_the_document_names_every_metric_and_keeps_history_short() -> None:
    document = picture(*(step(n, surprise=1.0) for n in range(1, 201))).to_dict(max_history=50)
    assert set(document["metrics"]) == {*METRICS, "surprise"}
    loss = document["metrics"]["loss/total"]
    assert (loss["value"], loss["step"], len(loss["history"])) == (200.0, 200, 50)
    assert loss["history"][-1] == [200, 200.0]
    absent: Event = {"value": None, "step": None, "unit": "nats/token", "history": []}
    assert document["metrics"]["kl/signed"] == absent
    assert picture(step(1)).to_dict(max_history=0)["metrics"]["loss/total"]["history"] == []


def test_a_snapshot_does_not_change_afterwards() -> None:
    folded = EventFold()
    folded.add(step(1))
    before = folded.snapshot()
    folded.add(step(2))
    assert before.history["loss/total"] == ((1, 1.0),)
    assert before.step == 1


def test_a_series_gives_the_same_points_until_it_changes() -> None:
    series = Series()
    series.add(1, 0.5)
    assert series.points() is series.points()
    series.add(2, 0.5)
    assert series.points() == ((1, 0.5), (2, 0.5))
