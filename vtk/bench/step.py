"""`vtk bench step`: one training step by every engine, side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from vtk.bench.counters import count_work
from vtk.bench.engines import ALL_ENGINES, ENGINES, Engine, make_engine
from vtk.bench.floor import shape_of, sizes_of, step_floor_s
from vtk.bench.gate import check_equal
from vtk.bench.machine import measure_ceilings, this_machine
from vtk.bench.timing import time_rounds
from vtk.bench.workload import WORKLOADS, Workload, build_batch, build_model, build_prompts
from vtk.errors import ConfigError, MissingEnvironmentError, VtkError

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StepSettings:
    """What to measure.

    Attributes:
        workload: A name of `WORKLOADS`.
        engines: Which engines; "shared" is compared with each of the others.
        is_tower_trained: Whether the vision tower gets gradients; else the shared engine computes a
            clip once for all passes, before the clock starts.
        num_rounds: Measured rounds.
        num_threads: CPU threads.
    """

    workload: str = "short"
    engines: tuple[str, ...] = ENGINES
    is_tower_trained: bool = False
    num_rounds: int = 5
    num_threads: int = 1


def bench_step(settings: StepSettings, on_progress: OnProgress = lambda _: None) -> dict[str, Any]:
    """Check that the engines agree, then time their parts, interleaved.

    Args:
        settings: What to measure.
        on_progress: Told what is done now.

    Returns:
        A JSON document: machine, workload, gate by engine, work, seconds and ratios by
            part, floor.

    Raises:
        ConfigError: No such workload or engine.
        MissingEnvironmentError: The workload needs a GPU.
        VtkError: The engines disagree, so that no speed means anything.
    """
    device, dtype = where(settings)
    on_progress("building the model")
    engines = build_engines(settings, device, dtype)
    shared, workload = engines["shared"], WORKLOADS[settings.workload]
    on_progress("comparing the engines' results")
    oracle = Engine("reference", shared.model, shared.batch, workload)
    gates = check_equal(oracle, [each for name, each in engines.items() if name != oracle.name])
    for name, gate in gates.items():
        if not gate.is_passed:
            raise VtkError(
                f"{name} and {oracle.name} disagree, so their speed means nothing: {gate.as_json()}"
            )
    on_progress("counting work")
    work = {
        name: {part: count_work(engine.model, run).as_json() for part, run in _counted(engine)}
        for name, engine in engines.items()
    }
    seconds: dict[str, dict[str, float]] = {name: {} for name in engines}
    ratios: dict[str, dict[str, dict[str, float]]] = {}
    for part in shared.parts:
        on_progress(f"timing {part}")
        runs = {name: engine.parts[part] for name, engine in engines.items()}
        rounds = time_rounds(runs, settings.num_rounds, device)
        for name in engines:
            seconds[name][part] = rounds.median_s(name)
        ratios[part] = {name: rounds.ratio(name, "shared") for name in engines if name != "shared"}
    on_progress("measuring what the machine can do")
    ceilings = measure_ceilings(device, dtype)
    sizes = sizes_of(shared.model)
    floor = step_floor_s(
        sizes,
        shape_of(workload, sizes),
        ceilings,
        shared.model.dtype.itemsize,
        settings.is_tower_trained,
    )
    return {
        "machine": this_machine(device).as_json(),
        "workload": {"name": workload.name, "what": workload.what},
        "is_tower_trained": settings.is_tower_trained,
        "dtype": str(dtype).removeprefix("torch."),
        "num_rounds": settings.num_rounds,
        "gate": {name: gate.as_json() for name, gate in gates.items()},
        "work": work,
        "seconds": seconds,
        "ratio": ratios,
        "floor": {
            "flops_per_s": ceilings.flops_per_s,
            "bytes_per_s": ceilings.bytes_per_s,
            "seconds": floor,
            "share": {name: floor["step"] / seconds[name]["step"] for name in engines},
        },
    }


def build_engines(
    settings: StepSettings,
    device: torch.device,
    dtype: torch.dtype,
    workload: Workload | None = None,
) -> dict[str, Engine]:
    """The engines on one model and one batch.

    Args:
        settings: What to measure.
        device: Where.
        dtype: Number format.
        workload: In place of the one that the settings name.

    Raises:
        ConfigError: No such engine.
    """
    unknown = [name for name in settings.engines if name not in ALL_ENGINES]
    if unknown:
        raise ConfigError(f"unknown engine {unknown[0]!r}", f"one of: {', '.join(ALL_ENGINES)}")
    workload = workload or WORKLOADS[settings.workload]
    model = build_model(workload.model, device, dtype)
    model.model.visual.requires_grad_(settings.is_tower_trained)
    num_rows = workload.num_prompts * workload.num_generations
    batch = build_batch(build_prompts(workload, model), [workload.completion_length] * num_rows)
    names = dict.fromkeys((*settings.engines, "shared"))
    return {
        name: make_engine(name, model, batch, workload, settings.is_tower_trained) for name in names
    }


def where(settings: StepSettings) -> tuple[torch.device, torch.dtype]:
    """The device and number format of a workload; on a CPU also sets torch's threads.

    Raises:
        ConfigError: No such workload.
        MissingEnvironmentError: The workload needs a GPU.
    """
    if settings.workload not in WORKLOADS:
        names = ", ".join(WORKLOADS)
        raise ConfigError(f"unknown workload {settings.workload!r}", f"one of: {names}")
    if torch.cuda.is_available():
        is_real = WORKLOADS[settings.workload].model == "3b"
        return torch.device("cuda"), torch.bfloat16 if is_real else torch.float32
    if WORKLOADS[settings.workload].model == "3b":
        raise MissingEnvironmentError(
            "the workload 3b needs a CUDA GPU, and torch sees none",
            "Measure another workload here: " + ", ".join(n for n in WORKLOADS if n != "3b"),
        )
    torch.set_num_threads(settings.num_threads)
    return torch.device("cpu"), torch.float32


def _counted(engine: Engine) -> list[tuple[str, Callable[[], object]]]:
    return [(name, run) for name, run in engine.parts.items() if name in ("prefill", "score")]
