"""One global batch, spread over one, two or three real processes, is one training run.

Completions and rewards are equal to the letter. What is summed in another order (gradients, and so
everything after the first update) agrees to float32 rounding: metrics to 1e-4 of their size, the
weights to 1e-3 of the way that training has moved them. AdamW divides a gradient by its own size,
which magnifies the rounding of those near zero.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vtk.errors import Interrupted
from vtk.launch import launch
from vtk.runs import control
from vtk.runs.store import RunPaths
from vtk.system.accelerate_files import AccelerateFile, find_accelerate_file
from vtk.system.launchers import Processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NUM_STEPS = 3
NUM_PROMPTS = 6
STEPS = range(1, NUM_STEPS + 1)
LORA = {"lora__enabled": True, "lora__rank": 4, "lora__alpha": 8.0, "lora__dropout": 0.0}
EXACT = ("sample_id", "group", "generation", "completion", "reward", "advantage", "strict")
MEASURED = ("signed_kl", "k3", "entropy", "loss_policy", "loss_repulsion")


def _train(
    bench: Any,
    stage: str,
    num_processes: int,
    num_passes: int = 1,
    file: AccelerateFile | None = None,
    **settings: Any,
) -> RunPaths:
    """A run of `NUM_PROMPTS` prompts a step, several processes by the real launch."""
    paths: RunPaths = bench.new_run(
        stage,
        optim__num_steps=NUM_STEPS,
        optim__prompts_per_device=NUM_PROMPTS // num_processes // num_passes,
        optim__accumulation_steps=num_passes,
        **settings,
    )
    if num_processes == 1:
        bench.attempt(paths)
    else:
        launch(paths, Processes(num_processes, file))
    return paths


def _weights(folder: Path) -> torch.Tensor:
    """All weights of a model or adapter folder in one vector."""
    (path,) = (p for p in folder.glob("*.safetensors") if "model" in p.name)
    return torch.cat([tensor.flatten() for _, tensor in sorted(load_file(path).items())])


def _assert_same(bench: Any, alone: RunPaths, spread: RunPaths, start: torch.Tensor) -> None:
    expected, found = bench.rows(alone, STEPS), bench.rows(spread, STEPS)
    assert found
    for name in EXACT:
        assert [row[name] for row in found] == [row[name] for row in expected], name
    for name in MEASURED:
        columns = [
            [row[name] if row[name] is not None else 0.0 for row in rows]
            for rows in (found, expected)
        ]
        assert columns[0] == pytest.approx(columns[1], rel=1e-3, abs=1e-5), name
    assert bench.numbers(spread).keys() == bench.numbers(alone).keys() == set(STEPS)
    for step in STEPS:
        theirs, ours = bench.numbers(alone)[step], bench.numbers(spread)[step]
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # Sampler and trainer differ by rounding alone, and so does this difference.
            noise = 1e-4 if name.startswith("sampling/logp_gap") else 1e-6
            assert value == pytest.approx(theirs[name], rel=1e-4, abs=noise), (step, name)
    one, several = (_weights(paths.checkpoint_dir(NUM_STEPS)) for paths in (alone, spread))
    moved = float((one - start).norm())
    assert moved > 0.01
    assert float((several - one).norm()) < 1e-3 * moved


@pytest.mark.parametrize(
    ("stage", "lora", "num_processes"),
    [
        pytest.param("grpo", {}, 2, id="grpo-full-2", marks=pytest.mark.thorough),
        pytest.param("grpo", LORA, 2, id="grpo-lora-2", marks=pytest.mark.thorough),
        pytest.param("cdpo", {}, 3, id="cdpo-full-3"),
        pytest.param("cdpo", LORA, 3, id="cdpo-lora-3", marks=pytest.mark.thorough),
    ],
)
def test_the_same_batch_gives_the_same_run(
    bench: Any, stage: str, lora: dict[str, Any], num_processes: int
) -> None:
    settings = dict(lora)
    if stage == "cdpo":
        settings["reference__path"] = str(bench.world.bias)
    alone = _train(bench, stage, 1, **settings)
    start = _weights(bench.world.base) if not lora else torch.zeros(())
    assert len({row["completion"] for row in bench.rows(alone, STEPS)}) > 4
    assert all(step["optim/grad_norm"] > 0 for step in bench.numbers(alone).values())
    in_passes = _train(bench, stage, 1, num_passes=3, **settings)
    _assert_same(bench, alone, in_passes, start)
    spread = _train(bench, stage, num_processes, **settings)
    _assert_same(bench, alone, spread, start)


@pytest.mark.thorough
def test_so_does_the_reference_engine_in_passes_and_processes(bench: Any) -> None:
    settings: dict[str, Any] = {
        "rollout__engine": "reference",
        "reference__path": str(bench.world.bias),
    }
    alone = _train(bench, "cdpo", 1, **settings)
    spread = _train(bench, "cdpo", 2, num_passes=3, **settings)
    _assert_same(bench, alone, spread, _weights(bench.world.base))


SHARDED: dict[str, Any] = {"model__sharding": "fsdp2"}


@pytest.mark.parametrize(
    ("lora", "sharding"),
    [
        pytest.param({}, "fsdp2", id="full-3"),
        pytest.param(LORA, "fsdp2", id="lora-2", marks=pytest.mark.thorough),
        pytest.param({}, "zero2", id="full-3-zero2", marks=pytest.mark.thorough),
        pytest.param(LORA, "zero2", id="lora-2-zero2"),
    ],
)
def test_sharded_weights_are_trained_alike(bench: Any, lora: dict[str, Any], sharding: str) -> None:
    """With a whole model as the reference, sharded too; with held-out evaluation and skips."""
    questions, _ = bench.damaged_questions(num_damaged=3)
    settings: dict[str, Any] = {
        "reference__path": str(bench.world.bias),
        "data__train": str(questions),
    }
    settings |= {"data__max_skipped_frac": 1.0, "eval__every_steps": NUM_STEPS} | lora
    num_processes = 2 if lora else 3
    alone = _train(bench, "cdpo", 1, **settings)
    file = find_accelerate_file(Path("8-gpu-zero2")) if sharding == "zero2" else None
    settings |= {"model__sharding": sharding}
    sharded = _train(bench, "cdpo", num_processes, file=file, **settings)
    _assert_same(bench, alone, sharded, _weights(bench.world.base) if not lora else torch.zeros(()))
    results = [bench.events(paths, "eval_result")[-1]["per_type"] for paths in (alone, sharded)]
    assert results[0] == results[1]
    (models,) = (event for event in bench.events(sharded, "phase") if "policy" in event)
    share = models["policy"]["num_held_parameters"] / models["policy"]["num_parameters"]
    assert 1 / num_processes <= share < 1.2 / num_processes


@pytest.mark.thorough
@pytest.mark.parametrize(
    "lora",
    [pytest.param({}, id="full"), pytest.param(LORA, id="lora")],
)
def test_a_sharded_checkpoint_is_gone_on_with_by_one_and_back(
    bench: Any, lora: dict[str, Any]
) -> None:
    settings = {"checkpoint__every_steps": 1, "checkpoint__keep": NUM_STEPS} | SHARDED | lora
    settings |= {"optim__prompts_per_device": 3, "optim__num_steps": NUM_STEPS}
    alone = _train(bench, "grpo", 1, **{k: v for k, v in settings.items() if "optim" not in k})
    paths: RunPaths = bench.new_run("grpo", **settings)
    for num_processes, last in ((2, 1), (1, 2), (2, NUM_STEPS)):
        try:
            launch(paths, Processes(num_processes), _stop_after(paths, last))
        except Interrupted:
            assert last < NUM_STEPS
        newest = bench.events(paths, "checkpoint_saved")[-1]["step"]
        assert newest >= last
        for path in sorted(paths.checkpoints_dir.iterdir())[last:]:
            shutil.rmtree(path)  # as if the next attempt had begun right there
    _assert_same(bench, alone, paths, _weights(bench.world.base) if not lora else torch.zeros(()))
    names = [
        sorted(p.name for p in run.checkpoint_dir(NUM_STEPS).glob("*.safetensors"))
        for run in (alone, paths)
    ]
    assert set(names[1]) - set(names[0]) == {"random_1.safetensors"}


@pytest.mark.thorough
def test_sharded_bfloat16_weights_keep_their_masters(bench: Any) -> None:
    """Stopped and gone on with by the same two processes, it ends bit for bit as without."""
    settings = {"model__dtype": "bfloat16", "optim__prompts_per_device": 2} | SHARDED
    settings |= {"optim__num_steps": NUM_STEPS, "reference__path": str(bench.world.bias)}
    straight, stopped = (bench.new_run("cdpo", **settings) for _ in range(2))
    launch(straight, Processes(2))
    with pytest.raises(Interrupted):
        launch(stopped, Processes(2), _stop_after(stopped, 1))
    assert bench.events(stopped, "checkpoint_saved")[-1]["step"] < NUM_STEPS
    launch(stopped, Processes(2))
    assert bench.numbers(stopped) == bench.numbers(straight)
    assert bench.model_hash(stopped, NUM_STEPS) == bench.model_hash(straight, NUM_STEPS)
    moments = load_file(straight.checkpoint_dir(NUM_STEPS) / "optimizer.safetensors")
    remainders = [tensor for name, tensor in moments.items() if name.endswith(".remainder")]
    assert any(bool(tensor.any()) for tensor in remainders)
    weights = load_file(straight.checkpoint_dir(NUM_STEPS) / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    (models,) = (event for event in bench.events(straight, "phase") if "policy" in event)
    num_trained = models["policy"]["num_trained_parameters"]
    assert sum(tensor.numel() for tensor in remainders) == num_trained


def _stop_after(paths: RunPaths, step: int) -> Any:
    """Asks for a stop once a step is reported; the last one needs none."""

    def on_progress(events: Any, _state: Any) -> None:
        if step < NUM_STEPS and any(e["type"] == "step" and e["step"] == step for e in events):
            control.request(paths, "stop")

    return on_progress


def test_a_clip_skipped_by_one_process_weighs_nothing_in_any(bench: Any) -> None:
    questions, _ = bench.damaged_questions(num_damaged=3)
    settings: dict[str, Any] = {"data__train": str(questions), "data__max_skipped_frac": 1.0}
    alone = _train(bench, "grpo", 1, **settings)
    spread = _train(bench, "grpo", 3, **settings)
    num_rows = [len(bench.rows(alone, [step])) for step in STEPS]
    assert min(num_rows) < max(num_rows), "some step has to lose a question"
    _assert_same(bench, alone, spread, _weights(bench.world.base))
    skipped = [
        sorted((e["step"], e["sample_id"]) for e in bench.events(paths, "sample_skipped"))
        for paths in (alone, spread)
    ]
    assert skipped[0] == skipped[1]


def test_a_run_goes_on_with_another_number_of_processes(bench: Any) -> None:
    """Begun by two and gone on with by three, it is what one alone would have done."""
    settings: dict[str, Any] = {
        "reference__path": str(bench.world.bias),
        "checkpoint__every_steps": 1,
    }
    alone = _train(bench, "cdpo", 1, **settings)
    paths: RunPaths = bench.new_run(
        "cdpo", optim__num_steps=NUM_STEPS, optim__prompts_per_device=3, **settings
    )

    with pytest.raises(Interrupted):
        launch(paths, Processes(2), _stop_after(paths, 1))
    first = bench.events(paths, "checkpoint_saved")[-1]["step"]
    assert first < NUM_STEPS
    launch(paths, Processes(3))
    _assert_same(bench, alone, paths, _weights(bench.world.base))
