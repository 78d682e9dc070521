"""The header's words about a run: what is in force, and not what was asked for once."""

from pathlib import Path

import pytest

from tests.tui.conftest import NewRun, write_steps
from tui.facts import beta_in_words, current_beta
from tui.source import LiveSource
from vtk.runs.store import create_run
from vtk.runs.writer import EventWriter


def set_beta(writer: EventWriter, step: int, beta: float) -> None:
    """What the trainer writes when it has done it."""
    result = f"beta -> {beta:g} from the next step"
    writer.emit(
        "control", id="1", action="set_beta", args={"beta": beta}, who="me", result=result,
        step=step,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("resumed_from", "in_force"), [(40, -0.05), (None, -0.05), (50, -0.5), (60, -0.5)]
)
def test_beta_is_that_of_the_checkpoint_that_a_run_went_on_from(
    new_run: NewRun, runs_dir: Path, resumed_from: int | None, in_force: float
) -> None:
    run = new_run()
    with EventWriter(run, attempt_resumed_from_step=None) as writer:
        write_steps(writer, 1, 50)
        set_beta(writer, 50, -0.5)
        for step in (50, 60):
            writer.emit("checkpoint_saved", step=step, path=f"checkpoints/step_{step:06d}")
        assert current_beta(LiveSource(runs_dir).look()) == -0.5
    with EventWriter(run, attempt_resumed_from_step=resumed_from) as writer:
        snapshot = LiveSource(runs_dir).look()
        assert current_beta(snapshot) == in_force
        assert ("beta set to -0.5" in beta_in_words(snapshot)) == (in_force == -0.5)


def test_beta_that_was_set_in_a_pause_after_the_checkpoint_is_gone(
    new_run: NewRun, runs_dir: Path
) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 50)
        writer.emit("checkpoint_saved", step=50, path="checkpoints/step_000050")
        set_beta(writer, 50, -0.5)
    with EventWriter(run, attempt_resumed_from_step=50):
        assert current_beta(LiveSource(runs_dir).look()) == -0.05


def test_a_run_made_anew_under_its_name_is_shown_with_its_own_settings(
    runs_dir: Path, tmp_path: Path
) -> None:
    def make(num_steps: int, beta: float, stage: str) -> None:
        config = {"optim": {"num_steps": num_steps}, "objective": {"beta": beta}}
        with EventWriter(create_run(runs_dir, stage, "mine", config=config)) as writer:
            write_steps(writer, 1, 4)
            writer.finish("finished")

    make(100, -0.05, "cdpo")
    source = LiveSource(runs_dir, "mine")
    first = source.look()
    assert (first.state.num_steps, first.state.stage, current_beta(first)) == (100, "cdpo", -0.05)
    (runs_dir / "mine").rename(tmp_path / "moved away")
    make(7, -0.5, "grpo")
    anew = source.look()
    assert (anew.state.num_steps, anew.state.stage, current_beta(anew)) == (7, "grpo", -0.5)
    assert anew.state.created != first.state.created
