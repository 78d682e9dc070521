"""docs/suites: what a page says of its benchmark is what the code does."""

import inspect
import re
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.unit.docs import suite_pages as pages
from tests.unit.docs.suite_pages import FOLDER, Page
from vtk.cli.app import app
from vtk.cli.download import download
from vtk.config.evaluation import EvalSettings
from vtk.config.sections import VideoSettings
from vtk.data.benchmarks import mvbench, tempcompass, video_holmes, video_mme
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.data.registry import DATASETS
from vtk.data.remote.sources import SOURCES
from vtk.evals.protocols import PROTOCOLS, SLIP_PIXELS_PX
from vtk.evals.published import published_numbers
from vtk.evals.published_chart import DRAWN_TYPES, draw_published, group_by_asking
from vtk.evals.results import QUESTION_TYPES
from vtk.evals.suites import SUITES
from vtk.mini.world import WorldSettings

NAMES = sorted(SUITES)
NUM_SUBJECTS, NUM_LOGGED = 27, 9_238
ALL_OF_TEMPCOMPASS = 7_540


@pytest.fixture(scope="module", params=NAMES)
def page(request: pytest.FixtureRequest) -> Page:
    return Page.of(request.param)


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def counts(page: Page, column: int = 1) -> dict[str, int]:
    """First cell of each row of the table of types -> questions."""
    return {row[0]: number(row[column]) for row in page.table("Question types")[1:]}


def test_every_suite_has_a_page_and_every_page_a_suite() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(SUITES)
    headings = [list(Page.of(name).sections) for name in NAMES]
    assert len(headings) == 7
    assert all(found == headings[0] for found in headings)


def test_facts_at_a_glance_are_the_registry_s(page: Page) -> None:
    told = page.glance
    assert told["suite"] == f"`{page.name}`"
    assert told["label"] == (SUITES[page.name].label or page.name)
    assert told["protocols"] == ", ".join(pages.protocol_names(page.name))
    if page.name not in SOURCES:
        assert (told["licence"], told["allowed"]) == (DATASETS[page.name].licence, "Anything.")
        return
    source = SOURCES[page.name]
    assert (told["licence"], told["allowed"]) == (source.licence, source.use)
    assert told["size"] == f"{source.about_bytes / 1e9:g} GB"
    assert told["agreement"].startswith("asked before") == source.must_agree
    assert source.page in told["from"]
    assert source.repo in told["from"]


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


def test_the_example_is_asked_in_the_words_of_the_page(page: Page, tmp_path: Path) -> None:
    samples = pages.samples_of(page, tmp_path)
    shown = page.blocks("One question", "text")
    real = {
        name: [pages.asked(page.name, name, s) for s in samples if s.kind != "captioning"]
        for name in pages.protocol_names(page.name)
    }
    assert all(set(words) & set(shown) for words in real.values())
    assert set(shown) <= {words for found in real.values() for words in found}
    if page.name == "clevrer":
        assert samples[0].label == "inferential"


def test_answers_are_worth_what_the_page_says(page: Page, tmp_path: Path) -> None:
    sample = pages.samples_of(page, tmp_path)[0]
    (_, *columns), *rows = page.table("What an answer is worth")
    assert columns == pages.score_columns(page.name)
    assert f"whose answer is {sample.solution}, by" in page.text
    assert len(rows) >= 5
    for completion, *told in rows:
        found = [
            pages.scored(page.name, column, completion.strip("`"), sample) for column in columns
        ]
        assert (completion, told) == (completion, found)


def test_the_two_protocols_are_set_as_the_page_says(page: Page) -> None:
    head, *rows = page.table("The two protocols")
    told = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    names = pages.protocol_names(page.name)
    assert head[1:] == names
    hashes = {name: f"`{pages.short_hash(page.name, name)}`" for name in names}
    assert told["prompt hash"] == hashes
    if "recipe" in names:
        recipe = PROTOCOLS[page.name]["recipe"]
        frames, generation = told["frames in vtk"], told["generation in vtk"]
        bounds = f"{recipe.min_pixels_px:,} to {recipe.max_pixels_px:,}"
        assert told["pixels of a frame"]["recipe"].startswith(bounds)
        assert frames["recipe"].startswith(f"{recipe.fps:g} a second")
        assert f"to {recipe.num_frames}" in frames["recipe"]
        assert f"temperature {recipe.temperature}, top-p {recipe.top_p}" in generation["recipe"]
        assert f"{recipe.max_completion_tokens:,} tokens" in generation["recipe"]
        video, eval_ = VideoSettings(), EvalSettings()
        assert f": {video.num_frames} evenly" in frames["official"]
        assert f"at most {video.max_pixels_px:,}" in told["pixels of a frame"]["official"]
        assert eval_.temperature == 0
        assert f"greedy, {eval_.max_completion_tokens} tokens" in generation["official"]


def test_published_numbers_are_those_of_the_file(page: Page) -> None:
    expected = pages.published_table(page.name)
    shown = page.sections["Published numbers"]
    if len(expected) == 2:
        assert shown.strip().startswith("None by others.")
        return
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert lines == expected


def test_pictures_show_the_numbers_of_the_file(page: Page) -> None:
    numbers, path = published_numbers(page.name), FOLDER / f"published-{page.name}.svg"
    assert path.exists() == bool(numbers)
    if not numbers:
        return
    drawn = path.read_text(encoding="utf-8")
    called = SUITES[page.name].label or page.name
    assert drawn == draw_published(called, numbers), "make it again: docs/make_pictures.py"
    shown = [number for number in numbers if number.type in DRAWN_TYPES]
    assert drawn.count("<circle") == len(shown) > 3
    assert all(f">{100 * number.accuracy:.1f}<" in drawn for number in shown)
    order = [[number.accuracy for number in group] for group in group_by_asking(numbers).values()]
    assert all(group == sorted(group, reverse=True) for group in order)
    assert f"![Published accuracies on {_called(page)}](published-{page.name}.svg)" in page.text


def _called(page: Page) -> str:
    called = {"clevrer": "CLEVRER", "video-mme": "Video-MME without subtitles"}
    return called.get(page.name, page.glance["label"])


def test_every_command_parses(page: Page) -> None:
    assert len(page.commands) >= 5
    command = get_command(app)
    for words in page.commands:
        _parse(command, words)


def _parse(command: Any, words: list[str]) -> None:
    """Let the command line's own parser read the words; nothing is run.

    Raises:
        UsageError: It does not know one of them.
    """
    with command.make_context("vtk", list(words)) as context:
        rest = [*context._protected_args, *context.args]
        if hasattr(command, "resolve_command"):
            _, inner, left = command.resolve_command(context, rest)
            _parse(inner, left)


def test_links_within_the_documents_lead_somewhere(page: Page) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)(?:#[\w-]+)?\)", page.text)
    assert all((FOLDER / target).is_file() for target in targets), targets


def test_the_overview_has_a_row_for_every_page(page: Page) -> None:
    overview = (FOLDER.parent / "evaluation.md").read_text(encoding="utf-8")
    link = f"| [{page.name}](suites/{page.name}.md) |"
    (row,) = [line for line in overview.splitlines() if line.startswith(link)]
    count, chance = (row.strip("| ").split(" | ")[column] for column in (1, 3))
    told = page.glance
    if page.name in SOURCES:
        assert re.match(r"[\d,]+", told["questions"])[0] == count  # type: ignore[index]
    if "%" in chance:
        assert float(chance.rstrip(" %")) == float(told["chance"].split(" %")[0])
