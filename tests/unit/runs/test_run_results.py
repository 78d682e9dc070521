"""Evaluations made after a training are seen in its folder."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from vtk.runs.files import write_json_atomic
from vtk.runs.state import RunFollower, read_state
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

NewRun = Callable[..., RunPaths]


@pytest.fixture
def trained(new_run: NewRun) -> RunPaths:
    """A finished training with one evaluation in its log, at step 2."""
    paths = new_run("mine")
    with EventWriter(paths) as writer:
        writer.step(2, {"loss/total": 0.5})
        per_type = {"all": {"n": 8, "accuracy": 0.25, "ci95": [0.1, 0.4]}}
        writer.emit("eval_result", step=2, suite="clevrer-mini", per_type=per_type)
        writer.finish("finished")
    return paths


def results(accuracy: float, **other: object) -> dict[str, Any]:
    strict = {
        "all": {"n": 40, "accuracy": accuracy, "ci95": [0.0, 1.0], "num_errors": 0},
        "multi": {"n": 0, "accuracy": None, "ci95": None, "num_errors": 0},
    }
    model = {"ref": "mine", "path": "/somewhere/mine/checkpoints/step_000002"}
    document = {"suite": "clevrer-mini", "complete": True, "strict": strict, "model": model}
    return document | other


def write(paths: RunPaths, document: Mapping[str, Any], suite: str = "clevrer-mini") -> None:
    write_json_atomic(paths.eval_dir(suite) / "results.json", document)


def test_the_evaluation_made_later_is_the_latest(trained: RunPaths) -> None:
    write(trained, results(0.75))
    state = read_state(trained)
    assert [found.per_type["all"].accuracy for found in state.eval_history] == [0.25, 0.75]
    assert state.latest_eval is not None
    assert (state.latest_eval.step, set(state.latest_eval.per_type)) == (2, {"all"})
    assert state.to_dict()["evals"]["clevrer-mini"]["per_type"]["all"]["n"] == 40


def test_a_follower_sees_results_come_change_and_go(trained: RunPaths) -> None:
    follower = RunFollower(trained)

    def accuracies() -> list[float | None]:
        return [found.per_type["all"].accuracy for found in follower.poll().eval_history]

    assert accuracies() == [0.25]
    write(trained, results(0.5))
    assert accuracies() == [0.25, 0.5]
    write(trained, results(0.75))
    assert accuracies() == [0.25, 0.75]
    write(trained, results(0.75, complete=False))
    assert accuracies() == [0.25]
    write(trained, results(1.0))
    (trained.eval_dir("clevrer-mini") / "results.json").unlink()
    assert accuracies() == [0.25]


def test_a_model_that_is_no_checkpoint_has_no_step(trained: RunPaths) -> None:
    write(trained, results(1.0, model={"ref": "tiny", "path": "/models/tiny"}))
    latest = read_state(trained).latest_eval
    assert latest is not None
    assert latest.step is None


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (results(0.5, suite=7), "suite must be text"),
        (results(0.5, strict=[]), "strict must be an object"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(
    trained: RunPaths, document: dict[str, Any], says: str
) -> None:
    write(trained, document, "broken")
    write(trained, results(0.75))
    state = read_state(trained)
    assert state.latest_eval is not None
    assert state.latest_eval.per_type["all"].accuracy == 0.75
    assert [says in problem and "broken" in problem for problem in state.problems] == [True]


def test_no_json_is_named_too(trained: RunPaths) -> None:
    write(trained, results(0.5))
    (trained.eval_dir("clevrer-mini") / "results.json").write_text("{")
    state = read_state(trained)
    assert "results.json" in " ".join(state.problems)
    assert len(state.eval_history) == 1


def test_an_evaluation_tells_its_results_once(trained: RunPaths) -> None:
    paths = create_run(trained.root.parent, "eval", "asked")
    with EventWriter(paths) as writer:
        per_type = {"all": {"n": 8, "accuracy": 0.5, "ci95": None}}
        writer.emit("eval_result", step=None, suite="clevrer-mini", per_type=per_type)
        writer.finish("finished")
    write(paths, results(0.5))
    assert len(read_state(paths).eval_history) == 1
