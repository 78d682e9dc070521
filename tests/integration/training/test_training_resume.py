"""A run that was stopped and resumed ends with the numbers of one that was not, bit for bit."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from vtk.errors import ConfigError, DataError, Interrupted, UserInterrupt
from vtk.models import loader
from vtk.runs import control
from vtk.runs.state import read_state
from vtk.train.checkpoint import CheckpointStore
from vtk.train.saved_state import load_progress
from vtk.train.saver import Saver

CDPO = {"optim__prompts_per_device": 1, "optim__accumulation_steps": 2}


@pytest.fixture(scope="module")
def straight() -> dict[str, Any]:
    """Numbers of the uninterrupted run; filled by the first test that needs them."""
    return {}


def _numbers(bench: Any, paths: Any) -> dict[str, Any]:
    return {
        "metrics": bench.numbers(paths),
        "rows": bench.rows(paths, range(1, 5)),
        "weights": bench.model_hash(paths, 4),
    }


def _new_run(bench: Any, **settings: Any) -> Any:
    return bench.new_run("cdpo", reference__path=str(bench.world.bias), **CDPO, **settings)


def _uninterrupted(bench: Any, straight: dict[str, Any]) -> dict[str, Any]:
    if not straight:
        paths = _new_run(bench)
        bench.attempt(paths)
        straight.update(_numbers(bench, paths))
        grad_norms = [step["optim/grad_norm"] for step in straight["metrics"].values()]
        assert all(norm > 0 for norm in grad_norms)
        assert len({step["reward/mean"] for step in straight["metrics"].values()}) > 1
    return straight


@pytest.mark.parametrize("step", [1, 2, 3])
def test_stopped_in_any_step(bench: Any, straight: dict[str, Any], step: int) -> None:
    """A signal that comes during an update is honoured when the step is done."""
    seen = {"update": 0}

    def sigterm_in_update(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "phase" and payload["name"] == "update":
            seen["update"] += 1
            if seen["update"] == CDPO["optim__accumulation_steps"] * step:
                stop.received = signal.SIGTERM

    paths = _new_run(bench)
    with pytest.raises(Interrupted, match="SIGTERM"):
        bench.attempt(paths, sigterm_in_update)
    assert read_state(paths).status == "stopped"
    bench.attempt(paths)
    attempts = bench.events(paths, "attempt_started")
    assert [event["resumed_from_step"] for event in attempts] == [None, step]
    assert _numbers(bench, paths) == _uninterrupted(bench, straight)


def test_a_signal_in_the_last_step_changes_nothing(bench: Any) -> None:
    def sigterm_in_update(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "phase" and payload["name"] == "update":
            stop.received = signal.SIGTERM

    paths = bench.new_run("grpo", optim__num_steps=1)
    bench.attempt(paths, sigterm_in_update)
    assert read_state(paths).status == "finished"


@pytest.mark.parametrize("stopped_in", ["update", "eval"])
@pytest.mark.parametrize("num_steps", [2, 4])
def test_an_evaluation_that_a_stop_prevented_is_made_up_for(
    bench: Any, stopped_in: str, num_steps: int
) -> None:
    settings = {"optim__num_steps": num_steps, "eval__every_steps": 2}
    whole = _new_run(bench, **settings)
    bench.attempt(whole)

    def sigterm_in_step_2(type: str, payload: dict[str, Any], stop: Any) -> None:
        is_step_2 = len(bench.events(paths, "step")) == (1 if stopped_in == "update" else 2)
        if type == "phase" and payload["name"] == stopped_in and is_step_2:
            stop.received = signal.SIGTERM

    paths = _new_run(bench, **settings)
    with pytest.raises(Interrupted):
        bench.attempt(paths, sigterm_in_step_2)
    assert bench.events(paths, "eval_result") == []
    bench.attempt(paths)
    expected, found = (
        [(event["step"], event["per_type"]) for event in bench.events(run, "eval_result")]
        for run in (whole, paths)
    )
    assert found == expected
    assert [step for step, _ in found] == list(range(2, num_steps + 1, 2))


def test_another_batch_is_refused(bench: Any) -> None:
    """The order of questions and their draws depend on it."""
    paths = _new_run(bench, optim__num_steps=1)
    bench.attempt(paths)
    saver = Saver(CheckpointStore(paths, 1), {"prompts_per_step": 4})
    trainer: Any = None  # it is refused before anything is put back
    with pytest.raises(DataError, match="another prompts per step than the run has now: 2, not 4"):
        saver.load(trainer, paths.checkpoint_dir(1))


@pytest.mark.parametrize("pass_number", [1, 2])
def test_stopped_while_generating(bench: Any, straight: dict[str, Any], pass_number: int) -> None:
    """Also in the second pass of an accumulated step: the unfinished step is made again."""
    seen = {"generate": 0}

    def sigint_in_step_3(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "phase" and payload["name"] == "generate":
            seen["generate"] += 1
            if seen["generate"] == 2 * CDPO["optim__accumulation_steps"] + pass_number:
                stop.received = signal.SIGINT

    paths = _new_run(bench)
    with pytest.raises(UserInterrupt):
        bench.attempt(paths, sigint_in_step_3)
    assert [event["step"] for event in bench.events(paths, "checkpoint_saved")] == [2]
    bench.attempt(paths)
    assert _numbers(bench, paths) == _uninterrupted(bench, straight)


def test_killed_without_warning(bench: Any, straight: dict[str, Any]) -> None:
    """What was done after the last checkpoint is done again, and nothing is counted twice."""

    class Killed(BaseException):
        pass

    def kill_in_step_3(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 3:
            raise Killed

    paths = _new_run(bench, checkpoint__every_steps=2)
    with pytest.raises(Killed):
        bench.attempt(paths, kill_in_step_3)
    bench.attempt(paths)
    assert _numbers(bench, paths) == _uninterrupted(bench, straight)
    assert [step for step, _ in read_state(paths).history["reward/mean"]] == [1, 2, 3, 4]


def test_a_damaged_checkpoint_is_passed_over(bench: Any, straight: dict[str, Any]) -> None:
    def sigterm_at_step_3(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 3:
            stop.received = signal.SIGTERM

    paths = _new_run(bench, checkpoint__every_steps=1)
    with pytest.raises(Interrupted):
        bench.attempt(paths, sigterm_at_step_3)
    weights = paths.checkpoint_dir(3) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    bench.attempt(paths)
    attempts = bench.events(paths, "attempt_started")
    assert attempts[-1]["resumed_from_step"] == 2
    assert _numbers(bench, paths) == _uninterrupted(bench, straight)


def test_beta_and_guards_come_back(bench: Any) -> None:
    def change_then_stop(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 1:
            control.request(paths, "set_beta", beta=-0.5)
        if type == "rollouts" and payload["step"] == 2:
            stop.received = signal.SIGTERM

    paths = _new_run(bench, guards__entropy_floor=100.0)
    with pytest.raises(Interrupted):
        bench.attempt(paths, change_then_stop)
    before = bench.numbers(paths)
    bench.attempt(paths)
    after = bench.numbers(paths)
    ratio = after[3]["loss/repulsion"] / after[3]["kl/k3"]
    assert before[1]["loss/repulsion"] != 0
    assert abs(ratio) > 0.2  # 0.5, up to weighting by length; the run began with 0.05
    assert [event["step"] for event in bench.events(paths, "step")] == [1, 2, 3, 4]
    crossed = [(alert["rule"], alert["step"]) for alert in bench.events(paths, "alert")]
    assert crossed == [("entropy_floor", 1)]  # still crossed in each step of the next attempt


def test_the_budget_of_bad_clips_goes_on(bench: Any) -> None:
    def sigterm_in_step_2(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "step" and payload["step"] == 1:
            stop.received = signal.SIGTERM

    questions, damaged = bench.damaged_questions(8)
    settings = {"data__train": str(questions), "data__max_skipped_frac": 1.0}
    paths = bench.new_run("grpo", **settings)
    with pytest.raises(Interrupted):
        bench.attempt(paths, sigterm_in_step_2)
    before = {event["sample_id"] for event in bench.events(paths, "sample_skipped")}
    bench.attempt(paths)
    both = {event["sample_id"] for event in bench.events(paths, "sample_skipped")}
    assert set() < before < both <= set(damaged)
    assert load_progress(paths.checkpoint_dir(4))["skipped_ids"] == sorted(both)


def test_a_beta_that_was_set_in_a_pause_is_saved(bench: Any) -> None:
    """The step is saved before the pause, and again with what changed in it."""

    def pause_then_set_and_stop(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 1:
            control.request(paths, "pause")
        if type == "phase" and payload["name"] == "paused":
            control.request(paths, "set_beta", beta=-0.5)
            control.request(paths, "stop")

    paths = _new_run(bench, checkpoint__every_steps=1)
    with pytest.raises(Interrupted):
        bench.attempt(paths, pause_then_set_and_stop)
    assert [event["step"] for event in bench.events(paths, "checkpoint_saved")] == [1, 2, 2]
    assert [load_progress(paths.checkpoint_dir(n))["beta"] for n in (1, 2)] == [-0.05, -0.5]
    assert len(list(paths.checkpoints_dir.iterdir())) == 2


def test_a_full_disk_in_a_pause_ends_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost while a run waits, however often it is asked to save."""
    usage = shutil.disk_usage(bench.world.base)

    def pause_and_ask_twice(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 1:
            control.request(paths, "pause")
        if type == "phase" and payload["name"] == "paused":
            num_failed = len(bench.events(paths, "alert"))
            full = usage._replace(free=0 if num_failed < 2 else usage.free)
            monkeypatch.setattr("vtk.train.checkpoint.shutil.disk_usage", lambda _: full)
            control.request(paths, "checkpoint" if num_failed < 2 else "stop")

    paths = bench.new_run("grpo")
    with pytest.raises(Interrupted):
        bench.attempt(paths, pause_and_ask_twice)
    assert [alert["rule"] for alert in bench.events(paths, "alert")] == ["save_failed"] * 2
    assert [event["step"] for event in bench.events(paths, "checkpoint_saved")] == [2]


def test_an_old_checkpoint_that_stays_ends_nothing(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = shutil.rmtree

    def busy(path: Any, *arguments: Any, **keywords: Any) -> None:
        if "step_" in Path(path).name:
            raise OSError(39, "Directory not empty")
        delete(path, *arguments, **keywords)

    paths = bench.new_run("grpo", checkpoint__every_steps=1, checkpoint__keep=1)
    with monkeypatch.context() as patch:
        patch.setattr("vtk.train.checkpoint.shutil.rmtree", busy)
        bench.attempt(paths)
    told = [(alert["rule"], alert["step"]) for alert in bench.events(paths, "alert")]
    assert told == [("old_checkpoint_stays", step) for step in (2, 3, 4)]
    assert [event["step"] for event in bench.events(paths, "checkpoint_saved")] == [1, 2, 3, 4]
    assert read_state(paths).status == "finished"


def test_what_was_asked_of_a_killed_attempt_does_not_act_on_the_next(bench: Any) -> None:
    class Killed(BaseException):
        pass

    def ask_and_kill_in_step_2(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 2:
            control.request(paths, "stop")
            raise Killed

    paths = bench.new_run("grpo", optim__num_steps=3, checkpoint__every_steps=1)
    with pytest.raises(Killed):
        bench.attempt(paths, ask_and_kill_in_step_2)
    assert [asked.action for asked in read_state(paths).pending_requests] == ["stop"]
    bench.attempt(paths)
    (record,) = read_state(paths).controls
    assert (record.action, record.result, record.step) == (
        "stop",
        "not done: its attempt ended first",
        1,
    )
    assert control.pending(paths) == []
    assert read_state(paths).status == "finished"


def test_other_data_under_a_saved_position_are_refused(bench: Any) -> None:
    def sigterm_at_step_1(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts":
            stop.received = signal.SIGTERM

    questions, _ = bench.damaged_questions(0)
    as_made = questions.read_bytes()
    paths = bench.new_run("grpo", data__train=str(questions), optim__num_steps=2)
    with pytest.raises(Interrupted):
        bench.attempt(paths, sigterm_at_step_1)
    questions.write_bytes(b"\n".join(reversed(as_made.splitlines())))
    with pytest.raises(DataError, match=r"training data .* are not those that the run was made"):
        bench.attempt(paths)
    questions.write_bytes(as_made)
    bench.attempt(paths)
    assert read_state(paths).status == "finished"


@pytest.mark.parametrize("gpu_attempt", [1, 2])
def test_a_run_keeps_its_number_format_on_another_machine(
    bench: Any, monkeypatch: pytest.MonkeyPatch, gpu_attempt: int
) -> None:
    """On a GPU `auto` means bfloat16 and on a CPU float32; the first attempt decides."""
    decide = loader.model_dtype

    def on_a_gpu(name: str) -> torch.dtype:
        return torch.bfloat16 if name == "auto" else decide(name)

    def sigterm_in_step_1(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 1:
            stop.received = signal.SIGTERM

    def attempt(number: int, *on_event: Any) -> None:
        with monkeypatch.context() as patch:
            if number == gpu_attempt:
                patch.setattr(loader, "model_dtype", on_a_gpu)
            bench.attempt(paths, *on_event)

    paths = _new_run(bench, model__dtype="auto", optim__num_steps=3)
    with pytest.raises(Interrupted):
        attempt(1, sigterm_in_step_1)
    attempt(2)
    found = [
        event["policy"]["dtype"] for event in bench.events(paths, "phase") if "policy" in event
    ]
    assert found == ["bfloat16" if gpu_attempt == 1 else "float32"] * 2


def test_lora_resumes_too(bench: Any) -> None:
    lora = {"lora__enabled": True, "lora__rank": 4, "lora__alpha": 8.0, "lora__dropout": 0.1}

    def sigterm_at_step_2(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 2:
            stop.received = signal.SIGTERM

    straight, resumed = (
        bench.new_run("cdpo", reference__path="self", **CDPO, **lora) for _ in range(2)
    )
    bench.attempt(straight)
    with pytest.raises(Interrupted):
        bench.attempt(resumed, sigterm_at_step_2)
    bench.attempt(resumed)
    assert _numbers(bench, straight) == _numbers(bench, resumed)


def test_another_model_under_a_saved_adapter_is_refused(bench: Any, tmp_path: Path) -> None:
    def sigterm_in_step_1(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts":
            stop.received = signal.SIGTERM

    base = tmp_path / "base"
    shutil.copytree(bench.world.base, base)
    lora = {"lora__enabled": True, "lora__rank": 4, "lora__alpha": 8.0}
    paths = bench.new_run("grpo", model__path=str(base), **lora)
    with pytest.raises(Interrupted):
        bench.attempt(paths, sigterm_in_step_1)
    shutil.copy(bench.world.bias / "model.safetensors", base)
    with pytest.raises(DataError, match="another base sha256 than the run has now"):
        bench.attempt(paths)


def test_a_run_with_a_living_owner_is_refused(bench: Any) -> None:
    from vtk.runs.writer import EventWriter

    paths = bench.new_run("grpo")
    with EventWriter(paths), pytest.raises(ConfigError, match="is being written"):
        bench.attempt(paths)
