"""Out of memory: smaller pieces, the same algorithm, a clear end when nothing is left to cut."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vtk.errors import Interrupted, MemoryExhausted
from vtk.runs.files import read_json
from vtk.runs.state import read_state
from vtk.train import microbatch, trainer

pytestmark = pytest.mark.slow

STEPS = {"optim__num_steps": 3, "optim__prompts_per_device": 2, "optim__accumulation_steps": 2}
"""A pass has 2 prompts of 4 completions, so 8 rows; a step has two passes."""


class _Shortage:
    """Refuses work on more completions than fit, as a full device would.

    Args:
        fits: Completions that fit.
        after: Refuse only from the so-and-so-manieth call.
    """

    def __init__(self, fits: int, after: int = 0) -> None:
        self.fits, self.after, self.calls = fits, after, 0

    def check(self, num_rows: int) -> None:
        self.calls += 1
        if self.calls > self.after and num_rows > self.fits:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {num_rows} GiB. GPU 0 has a total capacity"
            )


def _short_of_memory(monkeypatch: pytest.MonkeyPatch, phase: str, shortage: _Shortage) -> None:
    """Let one kind of work run out of memory, before it begins or once its gradient is there."""
    if phase == "generate":
        _wrap(monkeypatch, microbatch.MicroBatch, "generate", shortage, _rows_of_generate)
        return
    if phase == "score":
        from vtk.train.reference import Reference

        _wrap(monkeypatch, Reference, "score", shortage, lambda _self, _policy, batch, *_: batch)
        return
    if phase == "update":
        _wrap(monkeypatch, trainer.CDPOTrainer, "_piece_loss", shortage, lambda *a: a[3])
        return
    call: Any = torch.Tensor.backward

    def backward(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        call(tensor, *args, **kwargs)  # the gradient is there, as after a backward cut short
        shortage.check(_Pieces.rows)

    _wrap(monkeypatch, trainer.CDPOTrainer, "_piece_loss", _Pieces(), lambda *a: a[3])
    monkeypatch.setattr(torch.Tensor, "backward", backward)


class _Pieces(_Shortage):
    """Notes how many rows the next backward has."""

    rows = 0

    def __init__(self) -> None:
        super().__init__(fits=10**9)

    def check(self, num_rows: int) -> None:
        _Pieces.rows = num_rows


def _rows_of_generate(cut: microbatch.MicroBatch, *arguments: Any) -> tuple[int, int]:
    return cut.pieces(arguments[3].num_prompts)[0]


def _wrap(
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    shortage: _Shortage,
    work: Callable[..., Any],
) -> None:
    original = getattr(owner, name)

    def checked(*arguments: Any) -> Any:
        found = work(*arguments)
        rows = found[1] - found[0] if isinstance(found, tuple) else len(found.completion_ids_NL)
        shortage.check(rows)
        return original(*arguments)

    monkeypatch.setattr(owner, name, checked)


def _weights(folder: Path) -> torch.Tensor:
    """All weights of a model folder in one vector."""
    found = load_file(folder / "model.safetensors")
    return torch.cat([tensor.flatten() for _, tensor in sorted(found.items())])


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The run that had memory enough; filled by the first test that needs it."""
    return {}


def _train(bench: Any, **settings: Any) -> Any:
    return bench.train("cdpo", reference__path=str(bench.world.bias), **STEPS, **settings)


@pytest.mark.parametrize(
    ("phase", "fits"), [("generate", 1), ("score", 4), ("update", 2), ("backward", 1)]
)
def test_a_step_short_of_memory_is_made_in_pieces(
    bench: Any, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Any], phase: str, fits: int
) -> None:
    """From the second step's second pass on; weights, completions and numbers stay as they were."""
    if not undisturbed:
        undisturbed["paths"] = _train(bench)
    whole = undisturbed["paths"]
    with monkeypatch.context() as patch:
        _short_of_memory(patch, phase, _Shortage(fits, after=3))
        paths = _train(bench)
    alerts = [a for a in bench.events(paths, "alert") if a["rule"] == "out_of_memory"]
    assert [(a["step"], a["value"], a["threshold"]) for a in alerts] == [
        (2, rows, 2 * rows) for rows in (4, 2, 1) if rows >= fits
    ]
    assert read_json(paths.checkpoint_dir(3) / "progress.json")["micro_batch_rows"] == fits
    rows, expected = (bench.rows(run, [1, 2, 3]) for run in (paths, whole))
    assert [row["completion"] for row in rows] == [row["completion"] for row in expected]
    assert [row["group"] for row in rows] == [row["group"] for row in expected]
    for step, numbers in bench.numbers(paths).items():
        assert numbers == pytest.approx(bench.numbers(whole)[step], rel=2e-3, abs=2e-5)
    start = _weights(bench.world.base)
    ours, theirs = (_weights(run.checkpoint_dir(3)) - start for run in (paths, whole))
    # A key bias has a gradient of rounding alone (softmax ignores it), so the whole way counts.
    assert float((ours - theirs).norm()) < 1e-3 * float(theirs.norm())


def test_a_resumed_run_keeps_the_smaller_pieces(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sigterm_at_step_2(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "rollouts" and payload["step"] == 2:
            stop.received = signal.SIGTERM

    paths = bench.new_run("cdpo", reference__path=str(bench.world.bias), **STEPS)
    with monkeypatch.context() as patch:
        _short_of_memory(patch, "update", _Shortage(fits=2))
        with pytest.raises(Interrupted):
            bench.attempt(paths, sigterm_at_step_2)
        num_alerts = len(bench.events(paths, "alert"))
        bench.attempt(paths)
    assert num_alerts == 2  # 8 -> 4 -> 2
    assert len(bench.events(paths, "alert")) == num_alerts


def test_what_cannot_be_made_again_is_smaller_in_the_next_attempt(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a backward exchanges gradients: the others have used part of it already."""
    paths = bench.new_run("grpo", **STEPS)
    with monkeypatch.context() as patch:
        _short_of_memory(patch, "update", _Shortage(fits=4))
        with monkeypatch.context() as inner:
            inner.setattr(trainer, "is_sharded", lambda _policy: True)
            with pytest.raises(MemoryExhausted, match="the next attempt takes 1 prompt") as ended:
                bench.attempt(paths)
        assert f"--resume {paths.root}" in str(ended.value.hint)
        bench.attempt(paths)
    assert bench.events(paths, "alert") == []
    assert read_json(paths.checkpoint_dir(3) / "progress.json")["micro_batch_rows"] == 4


def test_the_end_when_nothing_is_left_to_cut(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _short_of_memory(monkeypatch, "update", _Shortage(fits=0))
    paths = bench.new_run("grpo", **STEPS)
    with pytest.raises(MemoryExhausted) as ended:
        bench.attempt(paths)
    assert "with 1 completion at once" in ended.value.message
    assert "held up to" in ended.value.message
    assert "asked for 1 GiB more" in ended.value.message
    assert "video.max_pixels_px (now 1568)" in str(ended.value.hint)
    assert [alert["value"] for alert in bench.events(paths, "alert")] == [4, 2, 1]


def test_another_fault_is_not_taken_for_it(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(trainer.CDPOTrainer, "_piece_loss", broken)
    paths = bench.new_run("grpo", **STEPS)
    with pytest.raises(RuntimeError, match="shapes"):
        bench.attempt(paths)
    assert bench.events(paths, "alert") == []


ONE_OF_TWO = """
import os, sys, torch
from vtk.train import trainer
from vtk.worker import main

original, calls = trainer.CDPOTrainer._piece_loss, iter(range(100))

def short(self, model, inputs, piece):
    if os.environ["RANK"] == "1" and next(calls) > 0 and piece[1] - piece[0] > 2:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")
    return original(self, model, inputs, piece)

trainer.CDPOTrainer._piece_loss = short
sys.exit(main(sys.argv[1:]))
"""


def test_one_of_two_processes_runs_short_and_the_other_waits(bench: Any, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(ONE_OF_TWO)
    paths = bench.new_run("cdpo", reference__path=str(bench.world.bias), optim__num_steps=2)
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    done = subprocess.run(
        [sys.executable, *launch, script, paths.root],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_state(paths).status == "finished"
    alerts = bench.events(paths, "alert")
    assert [(alert["step"], alert["value"]) for alert in alerts] == [(2, 4), (2, 2)]
    assert all("out of memory in process 1" in alert["message"] for alert in alerts)
    assert len(bench.rows(paths, [2])) == 2 * 2 * 4


SHORT_IN_BACKWARD = """
import os, sys, torch
from vtk.train import trainer
from vtk.worker import main

original, rows = trainer.CDPOTrainer._piece_loss, []

def note(self, model, inputs, piece):
    rows.append(piece[1] - piece[0])
    return original(self, model, inputs, piece)

call = torch.Tensor.backward

def short(tensor, *arguments, **keywords):
    if os.environ["RANK"] == "1" and rows[-1] > 4:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")
    call(tensor, *arguments, **keywords)

trainer.CDPOTrainer._piece_loss = note
torch.Tensor.backward = short
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.thorough
def test_a_backward_that_others_wait_for_ends_the_attempt_and_the_next_one_fits(
    bench: Any, tmp_path: Path
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(SHORT_IN_BACKWARD)
    paths = bench.new_run("grpo", optim__num_steps=2)
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    ended, done = (
        subprocess.run(
            [sys.executable, *launch, script, paths.root],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        for _ in range(2)
    )
    assert ended.returncode != 0
    assert "the next attempt takes 1 prompt at once" in ended.stderr
    assert done.returncode == 0, done.stderr
    assert read_state(paths).status == "finished"
    assert bench.events(paths, "alert") == []
