"""Makes a demo, or a study of several: claim the folder, run the steps, say what came of it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vtk.demo.collect import collect
from vtk.demo.folder import DemoFolder, alone_in, claim_folder
from vtk.demo.pipeline import Pipeline, Watcher, shared_environment
from vtk.demo.plan import DemoSettings, demo_settings, plan_steps
from vtk.demo.study import plan_study, seed_folder, study_settings, summarise
from vtk.demo.study_table import study_markdown
from vtk.models.sources import resolve_model_path
from vtk.runs.files import read_json, write_bytes_atomic, write_json_atomic

STUDY_JSON: Final = "study.json"
STUDY_TABLE: Final = "study.md"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What does not change a demo's numbers.

    Attributes:
        out: Its folder.
        num_lanes: Commands that may run at once.
        is_forced: Move an earlier demo in that folder aside.
        watcher: Told what happens.
    """

    out: Path
    num_lanes: int
    is_forced: bool
    watcher: Watcher


def make_demo(settings: DemoSettings, how: Circumstances) -> dict[str, Any]:
    """Run a demo to its end, or go on with it.

    Returns:
        The document of results.json.

    Raises:
        VtkError: See `vtk.demo.folder`, `vtk.demo.pipeline.Pipeline.run` and
            `vtk.demo.collect.collect`.
    """
    folder, steps = DemoFolder(how.out), plan_steps(settings)
    resolve_model_path(settings.model, folder.runs_dir)  # a wrong name before any clip is made
    words = ["--quick"] if settings.is_quick else []
    words += ["--ablations"] if settings.has_variants else []
    words += [] if settings.model == "tiny" else ["--model", settings.model]
    repeat = _command(["--seed", str(settings.seed), *words], how)
    with alone_in(folder):
        record = claim_folder(folder, settings.identity(), is_forced=how.is_forced)
        Pipeline(
            steps, folder, record, how.watcher, how.num_lanes, shared_environment(folder), repeat
        ).run()
        return collect(folder, settings, record, steps, repeat)


def make_study(
    seeds: Sequence[int], how: Circumstances, *, is_quick: bool, model: str, has_variants: bool
) -> dict[str, Any]:
    """Run the demos of several seeds, or go on with them.

    Returns:
        The document of study.json, with the tables as `markdown`.

    Raises:
        VtkError: As `make_demo`.
    """
    settings = study_settings(seeds, is_quick=is_quick, model=model, has_variants=has_variants)
    words = [*(["--quick"] if is_quick else []), *([] if model == "tiny" else ["--model", model])]
    steps = plan_study(how.out, settings, words)
    listed = ",".join(str(seed) for seed in seeds)
    ablations = ["--ablations"] if has_variants else []
    repeat = _command(["--seeds", listed, *words, *ablations], how)
    folder = DemoFolder(how.out)
    identity = demo_settings(is_quick=is_quick, model=model).identity()
    del identity["seed"]  # seeds can be added to a study
    with alone_in(folder):
        record = claim_folder(folder, identity, is_forced=how.is_forced)
        Pipeline(steps, folder, record, how.watcher, how.num_lanes, {}, repeat).run()
    results = [read_json(DemoFolder(seed_folder(how.out, seed)).results) for seed in seeds]
    summary = summarise(results) | {"repeat": repeat}
    document = summary | {"markdown": study_markdown(summary)}
    write_json_atomic(how.out / STUDY_JSON, document)
    write_bytes_atomic(how.out / STUDY_TABLE, document["markdown"].encode())
    return document


def _command(words: Sequence[str], how: Circumstances) -> str:
    return shlex.join(["vtk", "demo", *words, "--out", str(how.out)])
