"""docs/suites: questions, clips, types and chance of each page are the registry's."""

import inspect
from math import sqrt
from pathlib import Path

import pytest

from tests.unit.docs import suite_pages as pages
from tests.unit.docs.suite_pages import Page
from vtk.cli.download import download
from vtk.data.benchmarks import mvbench, tempcompass, video_holmes, video_mme
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.data.registry import DATASETS
from vtk.evals.protocols import SLIP_PIXELS_PX
from vtk.evals.results import QUESTION_TYPES
from vtk.mini.world import WorldSettings

NUM_SUBJECTS, NUM_LOGGED = 27, 9_238
ALL_OF_TEMPCOMPASS = 7_540


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def counts(page: Page, column: int = 1) -> dict[str, int]:
    """First cell of each row of the table of types -> questions."""
    return {row[0]: number(row[column]) for row in page.table("Question types")[1:]}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_counts_are_the_registry_s(name: str) -> None:
    told, benchmark = Page.of(name).glance, BENCHMARKS[name]
    assert number(told["questions"].split(";")[0]) == benchmark.num_questions
    if benchmark.num_clips is None:
        assert told["clips"] == "not counted by the authors"
    else:
        assert number(told["clips"]) == benchmark.num_clips
    interval = f"± {98 / sqrt(benchmark.num_questions):.1f} points"
    assert told["95 % interval at 50 %"].startswith(interval)


@pytest.mark.parametrize("name", ["mmvu", "video-holmes", "video-mme"])
def test_chance_follows_from_the_options(name: str, tmp_path: Path) -> None:
    page = Page.of(name)
    (sample,) = pages.samples_of(page, tmp_path)
    assert page.glance["options"] == f"{len(sample.options)} each"
    assert page.glance["chance"] == f"{100 / len(sample.options):.1f} %"


def test_types_and_their_counts() -> None:
    subjects = counts(Page.of("mmvu"))
    assert (len(subjects), sum(subjects.values())) == (NUM_SUBJECTS, 625)
    types = counts(Page.of("video-holmes"))
    assert (tuple(types), sum(types.values())) == (video_holmes.TYPES, 1_837)
    tasks = counts(Page.of("mvbench"))
    assert (tuple(tasks), set(tasks.values())) == (mvbench.TASKS, {200})
    listed = Page.of("mvbench").table("Question types")
    assert sum(200 for row in listed if row[3] == "yes") == 1_000
    assert sum(200 for row in listed if row[2] == "CLEVRER") == 1_000
    layout = Page.of("mvbench").sections["Getting it"]
    assert all(f"video/{folder}/" in layout for folder in mvbench.CLIP_FOLDERS.values())


def test_types_of_video_mme() -> None:
    rows = Page.of("video-mme").table("Question types")[1:]
    sums: dict[str, int] = {}
    for grouping, _, count in rows:
        sums[grouping] = sums.get(grouping, 0) + number(count)
    assert sums == dict.fromkeys(("duration", "domain", "task_type"), 2_700)
    assert {*sums, "sub_category"} == set(video_mme.GROUPINGS)


def test_types_of_tempcompass() -> None:
    page = Page.of("tempcompass")
    head, *rows = page.table("Question types")
    assert tuple(head[2:]) == tempcompass.ASPECTS
    assert tuple(row[0] for row in rows) == tempcompass.TASKS
    for _, whole, *parts in rows:
        assert number(whole) == sum(map(number, parts))
    asked = counts(page)
    assert sum(asked.values()) == ALL_OF_TEMPCOMPASS
    assert sum(asked.values()) - asked["captioning"] == BENCHMARKS["tempcompass"].num_questions
    assert f"with a judge {ALL_OF_TEMPCOMPASS:,}" in page.glance["questions"]


def test_types_and_counts_of_clevrer() -> None:
    page, dataset = Page.of("clevrer"), DATASETS["clevrer"]
    rows = {row[0]: row[1] for row in page.table("Question types")[1:]}
    assert set(rows) == set(QUESTION_TYPES)
    assert number(rows["single"]) + number(rows["multi"]) == number(rows["all"]) == NUM_LOGGED
    parts = ", ".join(f"{count:,} {part}" for part, count in dataset.num_scenes.items())
    assert page.glance["clips"] == parts
    assert dataset.published is not None
    published = dataset.published
    told = f"{published.num_observational:,} observational questions among {published.num_usable:,}"
    assert told in page.text
    assert f"{SLIP_PIXELS_PX:,} with `--resolution-slip`" in page.text


def test_sizes_of_clevrer_mini() -> None:
    page, parameters = Page.of("clevrer-mini"), inspect.signature(download).parameters
    scenes, held_out = (parameters[key].default for key in ("scenes", "validation_scenes"))
    assert page.glance["clips"].startswith(f"{scenes} train, {held_out} validation")
    settings = WorldSettings(scenes, held_out)
    assert page.glance["questions"].startswith(f"{settings.questions_per_scene} for each clip")
    assert {row[0] for row in page.table("Question types")[1:]} == set(QUESTION_TYPES)
