"""`vtk bench step` and `memory`: the gate can fail, work is counted, and ratios are of one run."""

import json
from collections.abc import Callable

import pytest
import torch

from vtk.bench.counters import count_work
from vtk.bench.engines import ALL_ENGINES, ENGINES, Engine
from vtk.bench.floor import shape_of, sizes_of, step_floor_s
from vtk.bench.gate import check_equal
from vtk.bench.machine import Ceilings
from vtk.bench.memory import peak_growth_bytes
from vtk.bench.step import StepSettings, bench_step, build_engines
from vtk.bench.timing import Rounds, time_rounds
from vtk.bench.workload import WORKLOADS, Workload
from vtk.cli.app import main
from vtk.errors import VtkError

SMALL = Workload("small-test", "a test's", "tiny", 2, 3, 4, 56, 56, 24, 6)
CPU = torch.device("cpu")


@pytest.fixture
def workload(monkeypatch: pytest.MonkeyPatch) -> str:
    """A problem of a second or two, under a name of its own."""
    monkeypatch.setitem(WORKLOADS, SMALL.name, SMALL)
    return SMALL.name


def _engines(name: str, *, is_tower_trained: bool = False) -> dict[str, Engine]:
    settings = StepSettings(name, is_tower_trained=is_tower_trained)
    return build_engines(settings, CPU, torch.float32)


@pytest.mark.parametrize("is_tower_trained", [True, False])
def test_all_engines_compute_the_same(workload: str, is_tower_trained: bool) -> None:
    settings = StepSettings(workload, ALL_ENGINES, is_tower_trained=is_tower_trained)
    engines = build_engines(settings, CPU, torch.float32)
    gates = check_equal(engines["reference"], list(engines.values()))
    assert set(gates) == set(ALL_ENGINES)
    for gate in gates.values():
        assert gate.is_passed, gate


@pytest.mark.parametrize("wrong", ["published", "shared", "static"])
def test_an_engine_that_differs_is_not_timed(
    workload: str, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Its log-probabilities are a thousandth off."""

    def logps(engine: Engine) -> torch.Tensor:
        return true_logps(engine) * (1.001 if engine.name == wrong else 1.0)

    true_logps = Engine.logps
    monkeypatch.setattr(Engine, "logps", logps)
    with pytest.raises(VtkError, match=f"{wrong} and reference disagree"):
        bench_step(StepSettings(workload, ALL_ENGINES, num_rounds=1))


def test_memory_that_was_held_before_hides_nothing() -> None:
    """200 MiB that have been given back, then 64 MiB."""
    torch.ones(200 << 18)
    found = peak_growth_bytes(lambda: torch.ones(64 << 18).sum())
    assert 60 << 20 < found < 100 << 20


def test_counted_work(workload: str) -> None:
    """Published: G times everything. Shared: P + sum of completions, and no clip seen twice."""
    trained = _engines(workload, is_tower_trained=True)
    frozen = _engines(workload)
    clips = SMALL.num_prompts * 2 * 4 * 4  # two frame pairs of 4x4 patches
    prompt = SMALL.num_text_tokens + 2 * 4 * 4
    rows = SMALL.num_prompts * SMALL.num_generations
    length = SMALL.completion_length

    def count(engine: Engine, run: str) -> tuple[int, int]:
        work = count_work(engine.model, engine.parts[run])
        return work.num_patches, work.num_tokens

    assert count(trained["published"], "score") == (3 * clips, rows * (prompt + length))
    assert count(trained["reference"], "score") == (clips, rows * (prompt + length))
    shared_tokens = SMALL.num_prompts * prompt + rows * length
    assert count(trained["shared"], "score") == (clips, shared_tokens)
    assert count(frozen["shared"], "score") == (0, shared_tokens)
    assert count(frozen["shared"], "prefill") == (0, SMALL.num_prompts * prompt)


def test_rounds_are_interleaved_and_ratios_are_of_one_round() -> None:
    calls: list[str] = []
    runs: dict[str, Callable[[], object]] = {
        "a": lambda: calls.append("a"),
        "b": lambda: calls.append("b"),
    }
    time_rounds(runs, 2, CPU)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    rounds = Rounds({"slow": [2.0, 8.0, 3.0], "fast": [1.0, 2.0, 3.0]})
    assert rounds.ratio("slow", "fast") == {"median": 2.0, "min": 1.0, "max": 4.0}


def test_the_floor_counts_both_ceilings(workload: str) -> None:
    engine = _engines(workload)["shared"]
    sizes = sizes_of(engine.model)
    shape = shape_of(SMALL, sizes)
    assert shape.prompt_tokens == engine.batch.prompts.input_ids_1P.shape[1]
    assert shape.num_patches * SMALL.num_prompts == len(engine.batch.prompts.pixel_values_videos)
    by_bytes = step_floor_s(sizes, shape, Ceilings(1e30, 1.0), 4, is_tower_trained=False)
    layers = sum(
        p.numel()
        for name, p in engine.model.model.language_model.named_parameters()
        if name.endswith("_proj.weight")
    )
    weights = 4 * (layers + engine.model.get_output_embeddings().weight.numel())
    assert by_bytes["decode"] == pytest.approx(weights * SMALL.completion_length)
    frozen, trained = (
        step_floor_s(sizes, shape, Ceilings(1.0, 1e30), 4, is_tower_trained=is_trained)
        for is_trained in (False, True)
    )
    tower = 2.0 * sizes.num_vision_parameters * shape.num_patches * SMALL.num_prompts
    assert trained["step"] - frozen["step"] == pytest.approx(tower * (1 + 1 + 3))


@pytest.mark.slow
def test_the_commands(workload: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "step", "--workload", workload, "--rounds", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["gate"]) == {"published", "shared"}
    assert all(gate["is_passed"] for gate in document["gate"].values())
    assert set(document["seconds"]) == set(ENGINES)
    for part, by_engine in document["ratio"].items():
        slow, fast = (document["seconds"][name][part] for name in ("published", "shared"))
        assert by_engine["published"]["median"] == pytest.approx(slow / fast)
    assert 0 < document["floor"]["share"]["shared"] < 1


def test_an_unknown_workload_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "step", "--workload", "huge"]) == 2
    assert "tiny, short, published, 3b" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_real_size_needs_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "memory", "--workload", "3b"]) == 3
    assert "needs a CUDA GPU" in capsys.readouterr().err
