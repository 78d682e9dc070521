"""`vtk split`: from questions to files that training reads."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtk.cli.completion import complete_data
from vtk.cli.console import Console
from vtk.cli.options import DataDir, Json
from vtk.cli.progress import show_progress
from vtk.format import format_count, format_percent
from vtk.hints import DEFAULT_DATA_DIR, folder_options

if TYPE_CHECKING:
    from vtk.data.registry import Dataset
    from vtk.data.split import SplitResult

NUM_SHOWN_PROBLEMS = 10


def split(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A data set in CLEVRER's layout.",
            autocompletion=complete_data,
        ),
    ],
    rule: Annotated[
        str,
        typer.Option(
            "--rule", metavar="NAME", help="What counts as observational: D1, D2, D3 or D4."
        ),
    ] = "D1",
    bias_questions: Annotated[
        str,
        typer.Option(
            "--bias-questions",
            metavar="NAME",
            help="original, or modified: bias.jsonl asks without the intervention "
            '("What will happen?"), as the paper\'s figure shows.',
        ),
    ] = "original",
    observational_frac: Annotated[
        float | None,
        typer.Option(
            "--observational-frac",
            help="Thin train.jsonl out to this observational share (published: 0.74).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides who is thinned out.")] = 0,
    max_malformed_frac: Annotated[
        float,
        typer.Option(
            "--max-malformed-frac",
            help="Stop when a larger share of the questions is malformed, 0 to 1.",
        ),
    ] = 0.01,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Label questions; write train, bias and validation files.

    A counterfactual question is observational or inferential by the collisions of its clip.
    """
    from vtk.data.registry import dataset_dir, get_dataset
    from vtk.data.split import SplitOptions, split_dataset

    console = Console(as_json)
    dataset = get_dataset(name)
    options = SplitOptions(rule, bias_questions, observational_frac, seed, max_malformed_frac)
    with show_progress(console, f"Labelling {name}", unit="scenes") as progress:
        result = split_dataset(
            dataset_dir(data_dir, name),
            dataset,
            options,
            on_scene=lambda _part: progress.advance(),
        )
    _show_counts(console, dataset, result)
    _show_problems(console, result)
    found_here = {"path": str(result.folder), "num_missing_videos": result.num_missing_videos}
    console.document({**result.manifest, **found_here, "published": _published(dataset)})
    preset = "tiny" if dataset.kind == "generated" else "3b-24gb"
    folder = folder_options(data_dir=data_dir)
    console.next_command(f"vtk train-bias --preset {preset} --data {name}{folder}")


def _show_counts(console: Console, dataset: "Dataset", result: "SplitResult") -> None:
    """One table with the counts of every rule; the chosen one is marked."""
    from vtk.data.rules import RULES

    manifest = result.manifest
    columns = ["rule", "observational when", "train", "share", "validation", "share"]
    if dataset.published is not None:
        columns.append("published (train)")
    rows = []
    for name, rule in RULES.items():
        row = [f"{name} *" if name == manifest["rule"] else name, rule.sentence]
        for counts in manifest["counts"].values():
            row += _count_of(counts["observational_by_rule"][name], counts["num_usable"])
        if dataset.published is not None:
            published = dataset.published
            row.append(
                f"{format_count(published.num_observational)} of "
                f"{format_count(published.num_usable)}"
            )
        rows.append(row)
    console.table(columns, rows, title=f"Observational questions of {dataset.name}")
    for name, facts in manifest["outputs"].items():
        num_inferential = facts["num_rows"] - facts["num_observational"]
        console.paragraph(
            f"{result.folder / name}: {format_count(facts['num_rows'])} questions, "
            f"{format_count(facts['num_observational'])} observational, "
            f"{format_count(num_inferential)} inferential"
        )


def _published(dataset: "Dataset") -> dict[str, int] | None:
    return None if dataset.published is None else asdict(dataset.published)


def _count_of(count: int, among: int) -> list[str]:
    return [f"{format_count(count)} of {format_count(among)}", format_percent(count / among)]


def _show_problems(console: Console, result: "SplitResult") -> None:
    """What was left out, a few by name; the full list is in a file."""
    problems: Mapping[str, Any] = result.parts
    for part, found in problems.items():
        if found.zero_correct:
            console.note(
                f"{part}: without a correct option and left out, as in the published data: "
                f"{format_count(len(found.zero_correct))}"
            )
        if found.malformed:
            num = format_count(len(found.malformed))
            console.warn(f"{part}: malformed and left out: {num}")
        for entry in found.malformed[:NUM_SHOWN_PROBLEMS]:
            console.note(f"  {entry}")
    if any(found.malformed or found.zero_correct for found in problems.values()):
        console.note(f"The full list: {result.folder / 'problems.json'}")
    if result.num_missing_videos:
        num = format_count(result.num_missing_videos)
        console.warn(f"clips of these questions that are not on this disk yet: {num}")
