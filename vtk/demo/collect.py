"""From the runs of a finished demo to results.json and report.html."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtk.data.registry import split_file
from vtk.demo.curves import read_curves
from vtk.demo.examples import Example, Frame, choose_examples, read_frames
from vtk.demo.findings import find
from vtk.demo.folder import DemoFolder, Record
from vtk.demo.gauges import BASE_RUN_FACT
from vtk.demo.plan import DATASET, DemoSettings, Step, betas_of, models_of
from vtk.demo.report import ReportFacts, write_report
from vtk.demo.results import RESULTS_VERSION, measure
from vtk.errors import DataError
from vtk.evals.record import SAMPLES_FILE, EvalRow, read_rows
from vtk.runs.files import read_json, write_json_atomic
from vtk.runs.provenance import git_facts, machine_facts, package_versions
from vtk.runs.store import RunPaths

Rows = dict[str, list[EvalRow]]


def collect(
    folder: DemoFolder,
    settings: DemoSettings,
    record: Record,
    steps: Sequence[Step],
    repeat: str,
) -> dict[str, Any]:
    """Compute the numbers, say what they mean, write results.json and report.html.

    Args:
        folder: A demo whose steps are all done.
        settings: What it was made with.
        record: Its commands and times.
        steps: Its plan.
        repeat: The command that makes it again.

    Returns:
        The document of results.json.

    Raises:
        DataError: Answers, logs or clips are missing or damaged.
        VtkError: A file cannot be written.
    """
    runs = run_of_each_model(folder, settings, record)
    rows = {name: _answers(run) for name, run in runs.items()}
    document = _document(folder, settings, rows)
    document |= {
        "findings": find(document).as_json(),
        "steps": [
            {"name": step.name, "title": step.title, **_timed(record, step)} for step in steps
        ],
        "wall_s": sum(record.of(step.name).wall_s for step in steps),
        "repeat": repeat,
        "runs": {name: run.run_id for name, run in runs.items()},
        "created": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine_facts(),
        "packages": package_versions(),
        "code": git_facts(),
    }
    trained = {name: run for name, run in runs.items() if name != "base"}
    facts = ReportFacts(
        document=document,
        curves={name: read_curves(run) for name, run in trained.items()},
        examples=_examples(folder, rows, settings.seed),
        configs={name: read_json(run.config_json) for name, run in trained.items()},
    )
    write_report(folder.report, facts)
    write_json_atomic(folder.results, document)
    return document


def run_of_each_model(
    folder: DemoFolder, settings: DemoSettings, record: Record
) -> dict[str, RunPaths]:
    """Model name -> the run that holds its answers."""
    names = {name: name for name in models_of(settings)}
    names["base"] = record.facts[BASE_RUN_FACT]
    return {name: RunPaths(folder.runs_dir / run_id) for name, run_id in names.items()}


def observational_share(path: Path) -> float:
    """Share of observational questions in a split file.

    Raises:
        DataError: The file cannot be read or is empty.
    """
    from vtk.data.sample import load_samples

    labels = [sample.label for sample in load_samples(path)]
    return labels.count("observational") / len(labels)


def _document(folder: DemoFolder, settings: DemoSettings, rows: Rows) -> dict[str, Any]:
    train = split_file(folder.data_dir, DATASET, "train")
    share = observational_share(train)
    asked = rows["base"]
    return {
        "version": RESULTS_VERSION,
        "is_quick": settings.is_quick,
        "seed": settings.seed,
        "settings": settings.as_json(),
        "questions": {
            "num_held_out": len({row.sample_id for row in asked}),
            "num_clips": len({row.clip_id for row in asked}),
            "num_train": train.read_bytes().count(b"\n"),
            "train_observational_frac": share,
        },
        **measure(rows, share, betas_of(settings)),
    }


def _answers(run: RunPaths) -> list[EvalRow]:
    path = run.eval_dir(DATASET) / SAMPLES_FILE
    found = read_rows(path)
    if not found.rows or found.num_unreadable:
        raise DataError(
            f"{path} holds {len(found.rows)} answers and {found.num_unreadable} unreadable lines",
            "Remove the file and run the same vtk demo again: it asks what is missing.",
        )
    return list(found.rows.values())


def _timed(record: Record, step: Step) -> dict[str, Any]:
    found = record.of(step.name)
    return {"command": found.command, "wall_s": found.wall_s}


def _examples(
    folder: DemoFolder, rows: Mapping[str, Sequence[EvalRow]], seed: int
) -> list[tuple[Example, list[Frame]]]:
    from vtk.data.sample import load_samples

    held_out = load_samples(split_file(folder.data_dir, DATASET, "validation"))
    clips = {sample.sample_id: sample.video for sample in held_out}
    found = []
    for example in choose_examples(rows, seed):
        frames: list[Frame] = []
        if example.said is not None:
            asked = example.question
            frames = read_frames(clips[asked.sample_id], len(asked.timestamps_s or ()))
        found.append((example, frames))
    return found
