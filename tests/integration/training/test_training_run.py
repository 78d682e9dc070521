"""A run from its settings to its last step, and what it leaves behind."""

import json
import math
import shlex
import shutil
import signal
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import torch

from vtk.cli.app import main
from vtk.config.sections import ModelSettings
from vtk.errors import ConfigError, DataError, GuardStop, Interrupted, VtkError
from vtk.models.loader import load_policy, resolve_model_path, weights_hash
from vtk.runs import control
from vtk.runs.events import METRICS
from vtk.runs.files import read_json
from vtk.runs.ranks import RankReporter
from vtk.runs.state import read_state
from vtk.runs.writer import EventWriter
from vtk.train.callbacks import StopSignal
from vtk.train.inputs import TrainingInputs, read_config
from vtk.train.restart import restart_hint
from vtk.train.stages import Attempt, run_attempt

FLOAT32 = ModelSettings(dtype="float32")


def test_a_run_reports_saves_and_can_be_loaded(bench: Any) -> None:
    paths = bench.train("bias", checkpoint__every_steps=2, eval__every_steps=2)
    state = read_state(paths)
    assert (state.status, state.step) == ("finished", 4)
    assert state.num_unreadable_lines == 0
    assert state.unknown_types == {}
    assert [c.step for c in state.checkpoints] == [2, 4]
    assert set(state.metrics) <= set(METRICS)
    assert state.metrics["reward/format"] > 0.5
    assert any(value > 0 for _, value in state.history["optim/grad_norm"])
    assert [result.step for result in state.eval_history] == [2, 4]
    assert state.eval_history[-1].per_type["all"].n == 4
    model, processor = load_policy(resolve_model_path(str(paths.root), bench.runs_dir), FLOAT32)
    start, _ = load_policy(bench.world.base, FLOAT32)
    assert weights_hash(model) != weights_hash(start)
    assert processor.tokenizer.eos_token == "<|im_end|>"


def test_every_completion_is_recorded_with_its_evidence(bench: Any) -> None:
    paths = bench.train("cdpo", optim__num_steps=1, reference__path=str(bench.world.bias))
    rows = bench.rows(paths, [1])
    assert len(rows) == 8
    for row in rows:
        assert row["label"] in ("observational", "inferential")
        assert len(row["timestamps_s"]) == 4
        assert row["reward"] == row["reward_accuracy"] + row["reward_format"]
        assert math.isfinite(row["signed_kl"])
        assert row["k3"] >= 0
    for group in {row["group"] for row in rows}:
        mine = [row for row in rows if row["group"] == group]
        rewards_G = torch.tensor([row["reward"] for row in mine])
        expected_G = (rewards_G - rewards_G.mean()) / (rewards_G.std() + 1e-4)
        assert [row["advantage"] for row in mine] == pytest.approx(expected_G.tolist(), abs=1e-6)


def test_a_published_file_trains(bench: Any, tmp_path: Path) -> None:
    """A list of problem, solution in answer tags, and video."""
    lines = bench.world.train_file.read_text().splitlines()[:4]
    root = bench.world.data_dir / "clevrer-mini"
    rows = [json.loads(line) for line in lines]
    published = [
        {
            "problem": row["problem"],
            "solution": f"<answer>{row['solution']}</answer>",
            "video": row["video"],
        }
        for row in rows
    ]
    path = tmp_path / "clevrer_counterfactual_train.json"
    path.write_text(json.dumps(published))
    shutil.copytree(root / "videos", tmp_path / "videos")
    paths = bench.train("grpo", optim__num_steps=1, data__train=str(path))
    assert "acc/observational" not in bench.numbers(paths)[1]
    assert bench.numbers(paths)[1]["acc/single_n"] == 8


def test_accumulation_makes_one_step_of_several_passes(bench: Any) -> None:
    paths = bench.train(
        "grpo", optim__num_steps=2, optim__prompts_per_device=1, optim__accumulation_steps=3
    )
    rows = bench.rows(paths, [2])
    assert len({row["group"] for row in rows}) == 3
    assert len(rows) == 12


def test_same_seed_same_run(bench: Any) -> None:
    runs = [bench.train("grpo", optim__num_steps=2, seed=seed) for seed in (1, 1, 2)]
    texts = [[row["completion"] for row in bench.rows(paths, [1, 2])] for paths in runs]
    hashes = [bench.model_hash(paths, 2) for paths in runs]
    assert texts[0] == texts[1]
    assert hashes[0] == hashes[1]
    assert texts[0] != texts[2]
    assert hashes[0] != hashes[2]


def test_the_reference_engine_trains_alike(bench: Any) -> None:
    """Every prompt once or G times over: the same samples, and losses equal to rounding."""
    runs = [
        bench.train(
            "cdpo",
            optim__num_steps=1,
            rollout__engine=engine,
            reference__path=str(bench.world.bias),
        )
        for engine in ("shared", "reference")
    ]
    shared, repeated = (bench.numbers(paths)[1] for paths in runs)
    assert shared.pop("sampling/logp_gap_mean") <= shared.pop("sampling/logp_gap_max") < 1e-4
    assert shared == pytest.approx(repeated, rel=1e-3, abs=1e-5)


def test_not_finite_never_reaches_the_weights(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vtk.train.losses import SequenceLosses

    original, calls = SequenceLosses.total, iter(range(100))

    def poisoned(self: SequenceLosses, beta: float) -> torch.Tensor:
        return original(self, beta) * (math.nan if next(calls) == 1 else 1.0)

    monkeypatch.setattr(SequenceLosses, "total", poisoned)
    paths = bench.train("grpo", optim__num_steps=3, checkpoint__every_steps=1)
    assert bench.model_hash(paths, 1) == bench.model_hash(paths, 2) != bench.model_hash(paths, 3)
    (alert,) = bench.events(paths, "alert")
    assert (alert["rule"], alert["step"]) == ("nonfinite", 2)
    assert math.isnan(bench.numbers(paths)[2]["optim/grad_norm"])


def test_not_finite_in_a_row_stops_the_run(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vtk.train.losses import SequenceLosses

    monkeypatch.setattr(SequenceLosses, "total", lambda self, _: self.policy_N.sum() * math.inf)
    paths = bench.new_run("grpo", guards__max_nonfinite_steps=2)
    with pytest.raises(GuardStop, match="2 steps in a row"):
        bench.attempt(paths)
    assert read_state(paths).status == "stopped"
    assert read_state(paths).step == 2


def test_a_guard_stops_the_run(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    paths = bench.new_run("grpo", guards__entropy_floor=100.0, guards__on_breach="stop")
    with pytest.raises(GuardStop, match="entropy") as stopped:
        bench.attempt(paths)
    assert [alert["rule"] for alert in bench.events(paths, "alert")] == ["entropy_floor"]
    assert "Start a new run from the beginning: " in str(stopped.value.hint)
    plan = _dry_run(str(stopped.value.hint), capsys)
    assert plan["config"]["guards"]["entropy_floor"] is None
    assert plan["config"] | {"guards": None} == read_config(paths).model_dump(mode="json") | {
        "guards": None
    }
    assert plan["inputs"] == read_json(paths.run_json)["inputs"]


def test_a_stopped_run_can_begin_again_from_its_last_checkpoint(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = bench.new_run("cdpo", reference__path=str(bench.world.bias))
    setting, checkpoint = ("optim.learning_rate", "1e-6"), bench.world.bias.parent / "base"
    hint = restart_hint(paths, read_config(paths), checkpoint, *setting)
    plan = _dry_run(hint, capsys)
    assert plan["config"]["optim"]["learning_rate"] == 1e-6
    assert plan["inputs"]["model"] == str(checkpoint)
    assert "without --model" in hint
    lora = read_config(bench.new_run("grpo", lora__enabled=True))
    assert "--model" not in restart_hint(paths, lora, checkpoint, *setting)


def _dry_run(hint: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the command that a hint names would do."""
    command = shlex.split(hint.split("`")[1])
    assert command[0] == "vtk"
    capsys.readouterr()
    assert main([*command[1:], "--dry-run", "--json"]) == 0
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    return plan


def test_a_damaged_clip_is_skipped_and_replaced_by_nothing(bench: Any) -> None:
    questions, damaged = bench.damaged_questions(num_damaged=3)
    whole = bench.train("grpo", optim__num_steps=8)
    holey = bench.train(
        "grpo", optim__num_steps=8, data__train=str(questions), data__max_skipped_frac=1.0
    )
    skipped = bench.events(holey, "sample_skipped")
    assert {event["sample_id"] for event in skipped} == set(damaged)
    assert all(event["path"].endswith("broken.mp4") and event["reason"] for event in skipped)
    steps = range(1, 9)
    asked = [row["sample_id"] for row in bench.rows(whole, steps)]
    expected = [sample_id for sample_id in asked if sample_id not in damaged]
    existing = [step for step in steps if holey.rollout_file(step).exists()]
    assert [row["sample_id"] for row in bench.rows(holey, existing)] == expected


def test_a_step_whose_questions_are_all_skipped_changes_nothing(bench: Any) -> None:
    questions, _ = bench.damaged_questions(num_damaged=4)
    paths = bench.train(
        "grpo",
        data__train=str(questions),
        data__max_skipped_frac=1.0,
        optim__prompts_per_device=1,
        optim__num_steps=8,
        optim__weight_decay=0.1,
        checkpoint__every_steps=1,
        checkpoint__keep=8,
    )
    empty = [step for step in range(2, 9) if not paths.rollout_file(step).exists()]
    assert 0 < len(empty) < 7
    for step in range(2, 9):
        is_same = bench.model_hash(paths, step) == bench.model_hash(paths, step - 1)
        assert is_same == (step in empty), step


def test_too_many_damaged_clips_stop_the_run(bench: Any) -> None:
    questions, damaged = bench.damaged_questions(num_damaged=8)
    paths = bench.new_run(
        "grpo", optim__num_steps=20, data__train=str(questions), data__max_skipped_frac=0.2
    )
    with pytest.raises(DataError, match="max_skipped_frac"):
        bench.attempt(paths)
    num_skipped = len({event["sample_id"] for event in bench.events(paths, "sample_skipped")})
    num_questions = len(bench.world.train_file.read_text().splitlines())
    assert 0.2 < num_skipped / num_questions <= len(damaged) / num_questions


def test_a_failed_save_is_an_alarm_and_the_second_in_a_row_the_end(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    paths = bench.new_run("grpo", checkpoint__every_steps=1)

    def fill_the_disk(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "checkpoint_saved":
            monkeypatch.setattr("vtk.train.saved_state.save_file", full)

    with pytest.raises(VtkError, match="No space left"):
        bench.attempt(paths, fill_the_disk)
    alerts = bench.events(paths, "alert")
    assert [(alert["rule"], alert["step"]) for alert in alerts] == [
        ("save_failed", 2),
        ("save_failed", 3),
    ]
    assert [path.name for path in paths.checkpoints_dir.iterdir()] == ["step_000001"]


def test_a_last_save_that_fails_is_the_end(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the run would be finished and its model lost."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    paths = bench.new_run("grpo", optim__num_steps=1)
    with monkeypatch.context() as patch:
        patch.setattr("vtk.train.saved_state.save_file", full)
        with pytest.raises(VtkError, match="No space left"):
            bench.attempt(paths)
    assert read_state(paths).status != "finished"
    bench.attempt(paths)
    assert paths.checkpoint_dir(1).is_dir()


class TestMailbox:
    """Requests are honoured between steps and answered in the log."""

    def _ask_at(self, paths: Any, step: int, action: str, **args: float) -> Any:
        def on_event(type: str, payload: dict[str, Any], stop: Any) -> None:
            if type == "rollouts" and payload["step"] == step - 1:
                control.request(paths, action, **args)

        return on_event

    def test_checkpoint(self, bench: Any) -> None:
        paths = bench.new_run("grpo")
        bench.attempt(paths, self._ask_at(paths, 2, "checkpoint"))
        assert [event["step"] for event in bench.events(paths, "checkpoint_saved")] == [2, 4]
        assert control.pending(paths) == []

    def test_evaluation(self, bench: Any) -> None:
        paths = bench.new_run("grpo")
        bench.attempt(paths, self._ask_at(paths, 3, "eval"))
        assert [event["step"] for event in bench.events(paths, "eval_result")] == [3]

    def test_stop(self, bench: Any) -> None:
        paths = bench.new_run("grpo")
        with pytest.raises(Interrupted, match="asked"):
            bench.attempt(paths, self._ask_at(paths, 2, "stop"))
        assert read_state(paths).status == "stopped"
        assert [event["step"] for event in bench.events(paths, "checkpoint_saved")] == [2]

    def test_beta(self, bench: Any) -> None:
        paths = bench.new_run("cdpo", reference__path=str(bench.world.bias))
        bench.attempt(paths, self._ask_at(paths, 2, "set_beta", beta=0.0))
        losses = [numbers["loss/repulsion"] for numbers in bench.numbers(paths).values()]
        assert losses[0] != 0
        assert losses[1] != 0
        assert losses[2:] == [0.0, 0.0]

    def test_beta_without_reference_is_refused(self, bench: Any) -> None:
        paths = bench.new_run("grpo", optim__num_steps=2)
        bench.attempt(paths, self._ask_at(paths, 2, "set_beta", beta=-1.0))
        (event,) = bench.events(paths, "control")
        assert event["result"].startswith("refused")

    def test_pause_and_resume(self, bench: Any) -> None:
        paths = bench.new_run("grpo", optim__num_steps=3)
        control.request(paths, "pause")

        def on_event(type: str, payload: dict[str, Any], stop: Any) -> None:
            if type == "phase" and payload["name"] == "paused":
                Timer(1.0, control.request, (paths, "resume")).start()

        bench.attempt(paths, on_event)
        results = [event["result"] for event in bench.events(paths, "control")]
        assert results == ["paused before the next step", "going on"]
        phases = [event["name"] for event in bench.events(paths, "phase")]
        assert phases.count("paused") == 1
        assert read_state(paths).status == "finished"

    def test_stop_while_paused(self, bench: Any) -> None:
        paths = bench.new_run("grpo")
        control.request(paths, "pause")

        def on_event(type: str, payload: dict[str, Any], stop: Any) -> None:
            if type == "phase" and payload["name"] == "paused":
                stop.received = signal.SIGTERM

        with pytest.raises(Interrupted):
            bench.attempt(paths, on_event)
        assert [event["step"] for event in bench.events(paths, "checkpoint_saved")] == [1]


def test_no_training_questions_is_an_error_before_anything_starts(bench: Any) -> None:
    with pytest.raises(ConfigError, match="no training questions"):
        bench.new_run("grpo", data__dataset="none")
    with pytest.raises(DataError, match="there is no data file"):
        bench.new_run("grpo", data__train="/nowhere/train.jsonl")
    assert not bench.runs_dir.exists()


def test_each_process_says_which_pass_of_a_step_it_makes(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[int, str, int]] = []
    monkeypatch.setattr(RankReporter, "doing", lambda _self, *place: said.append(place))
    settings = {"optim__prompts_per_device": 1, "optim__accumulation_steps": 2}
    paths = bench.new_run("grpo", optim__num_steps=2, **settings)
    inputs = TrainingInputs.from_run(read_json(paths.run_json))
    with EventWriter(paths) as events, RankReporter(paths, 0) as ranks:
        config = read_config(paths)
        run_attempt(Attempt(paths, config, inputs, None, events, StopSignal(), ranks))
    updates = [(step, number) for step, phase, number in said if phase == "update"]
    assert updates == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [place for place in said if place[1] == "save"] == [(2, "save", 0)]
