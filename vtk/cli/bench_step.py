"""`vtk bench step` and `vtk bench memory`: one training step by every engine, side by side."""

from typing import Annotated, Any

import typer

from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.format import format_bytes, format_number, format_percent

Workload = Annotated[
    str, typer.Option("--workload", help="tiny, short, published, or 3b (needs a GPU).")
]
TrainedTower = Annotated[
    bool,
    typer.Option("--train-vision", help="Train the vision tower; else a clip is seen only once."),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")]
_STEPS = "a step is rollout + score + update; score is the frozen reference model's pass"


def step(
    workload: Workload = "short",
    train_vision: TrainedTower = False,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Measured rounds.")] = 5,
    threads: Threads = 1,
    with_static: Annotated[
        bool, typer.Option("--with-static", help="Time the engine static as well.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Time a training step by every engine, after a proof that they compute the same.

    "published" does what the published code does, "reference" uses the library's own generate and
    forward, "shared" computes each prompt once, "static" also decodes in fixed shapes, which a GPU
    records and replays. Random weights: this says nothing about quality.
    """
    from vtk.bench.engines import ALL_ENGINES, ENGINES
    from vtk.bench.step import StepSettings, bench_step

    console = Console(as_json)
    settings = StepSettings(
        workload,
        engines=ALL_ENGINES if with_static else ENGINES,
        is_tower_trained=train_vision,
        num_rounds=rounds,
        num_threads=threads,
    )
    document = bench_step(settings, on_progress=lambda what: console.note(f"{what} ..."))
    show_head(console, document)
    gates, shared = document["gate"], document["seconds"]["shared"]
    for name, gate in gates.items():
        console.say(
            f"Same results, {name} and reference: log-probabilities within {gate['logp_gap']:.1e}, "
            f"gradients within {gate['gradient_gap']:.1e}."
        )
    control = gates["shared"]["control_gap"]
    console.say(f"With completions in each other's sight they would differ by {control:.1e}.")
    others = [name for name in document["seconds"] if name != "shared"]
    rows = [
        (
            part,
            *(format_number(document["seconds"][name][part], 3) for name in others),
            format_number(shared[part], 3),
            *(times(document["ratio"][part][name]) for name in others),
        )
        for part in shared
    ]
    header = ("part", *(f"{n}, s" for n in others), "shared, s", *(f"x {n}" for n in others))
    console.table(header, rows, title="Seconds, and how many times as fast shared is")
    floor = document["floor"]
    console.say(
        f"The least this machine could take for a step is {floor['seconds']['step']:.3g} s "
        f"({floor['flops_per_s'] / 1e9:.0f} GFLOP/s, {floor['bytes_per_s'] / 1e9:.0f} GB/s); "
        f"shared reaches {format_percent(floor['share']['shared'])} of that."
    )
    console.note(_STEPS)
    console.document(document)


def memory(
    workload: Workload = "short", train_vision: TrainedTower = False, as_json: Json = False
) -> None:
    """Measure the memory that a training step takes beside weights and inputs, by engine."""
    from vtk.bench.memory import bench_memory
    from vtk.bench.step import StepSettings

    console = Console(as_json)
    settings = StepSettings(workload, is_tower_trained=train_vision)
    document = bench_memory(settings, on_progress=lambda what: console.note(f"{what} ..."))
    show_head(console, document)
    peaks, ratio = document["peak_bytes"], document["ratio"]
    rows = [
        (
            part,
            *(format_bytes(found[part]) for found in peaks.values()),
            *("" if times is None else f"{times:.1f}" for times in ratio[part].values()),
        )
        for part in peaks["shared"]
    ]
    others = [f"{name} / shared" for name in ratio["update"]]
    console.table(("part", *peaks, *others), rows, title="Peak memory beside weights and inputs")
    if "saved" in ratio:
        console.note("saved: what autograd keeps for the backward pass, counted")
    console.document(document)


def show_head(console: Console, document: dict[str, Any]) -> None:
    """Machine and workload of a benchmark of steps."""
    machine, workload = document["machine"], document["workload"]
    tower = "trained" if document["is_tower_trained"] else "frozen"
    console.say(
        f"{machine['device']}, {machine['num_threads']} thread(s), torch "
        f"{machine['versions']['torch']}"
    )
    console.say(f"{workload['name']}: {workload['what']}; vision tower {tower}")


def times(ratio: dict[str, float]) -> str:
    """A ratio's median, with the least and the greatest."""
    median, least, most = (format_number(ratio[name], 2) for name in ("median", "min", "max"))
    return f"{median} [{least}, {most}]"
