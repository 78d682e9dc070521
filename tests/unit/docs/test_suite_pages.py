"""docs/suites: what a page says of its benchmark is what the code does."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.unit.docs import suite_pages as pages
from tests.unit.docs.suite_pages import FOLDER, Page
from vtk.cli.app import app
from vtk.config.evaluation import EvalSettings
from vtk.config.sections import VideoSettings
from vtk.data.registry import DATASETS
from vtk.data.remote.sources import SOURCES
from vtk.evals.protocols import PROTOCOLS
from vtk.evals.published import published_numbers
from vtk.evals.published_chart import DRAWN_TYPES, draw_published, group_by_asking
from vtk.evals.suites import SUITES

NAMES = sorted(SUITES)


@pytest.fixture(scope="module", params=NAMES)
def page(request: pytest.FixtureRequest) -> Page:
    return Page.of(request.param)


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
    assert told["size"] == f"{(source.about_bytes or 0) / 1e9:g} GB"
    assert told["agreement"].startswith("asked before") == source.must_agree
    assert source.page in told["from"]
    assert source.repo in told["from"]


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
