"""What the shell offers after Tab: runs, presets, suites, data sets, models.

Nothing heavy is imported, and a folder that cannot be read offers nothing: the shell waits, and has
no place for a message.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import typer

from vtk.cli.training import stage_of
from vtk.hints import DEFAULT_RUNS_DIR, RUNS_VARIABLE

TINY = "tiny"


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the runs in the command's --runs-dir, newest first."""
    return _beginning_with(incomplete, _runs(ctx))


def complete_stage_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the runs of a training command's own stage."""
    stage = (ctx.info_name or "").removeprefix("train-")
    return _beginning_with(incomplete, _runs(ctx, stage))


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """The tiny model and the runs that trained one."""
    return _beginning_with(incomplete, [TINY, *_runs(ctx, "bias", "cdpo", "grpo")])


def complete_preset(incomplete: str) -> list[str]:
    """Names of the presets."""
    from vtk.config.files import list_presets

    return _beginning_with(incomplete, list_presets())


def complete_data(incomplete: str) -> list[str]:
    """Names of the data sets that can be trained on."""
    from vtk.data.registry import DATASETS

    return _beginning_with(incomplete, DATASETS)


def complete_suite(incomplete: str) -> list[str]:
    """Names of the suites, and `all`."""
    from vtk.data.benchmarks.table import BENCHMARKS
    from vtk.data.registry import DATASETS

    return _beginning_with(incomplete, [*DATASETS, *BENCHMARKS, "all"])


def complete_download(incomplete: str) -> list[str]:
    """Names of all that can be downloaded."""
    from vtk.data.registry import DATASETS
    from vtk.data.remote.sources import SOURCES

    return _beginning_with(incomplete, dict.fromkeys([*DATASETS, *SOURCES]))


def _runs(ctx: typer.Context, *stages: str) -> list[str]:
    from vtk.runs.store import list_runs

    given = ctx.params.get("runs_dir") or os.environ.get(RUNS_VARIABLE) or DEFAULT_RUNS_DIR
    try:
        runs = list_runs(Path(given))
    except OSError:
        return []
    return [run.run_id for run in runs if not stages or stage_of(run) in stages]


def _beginning_with(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
