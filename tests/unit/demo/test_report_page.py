"""report.html: complete by itself, equal to results.json, and safe whatever a model wrote."""

import math
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.html_page import CHROMIUM, Page
from vtk.demo.curves import RunCurves
from vtk.demo.examples import Example, Frame, choose_examples
from vtk.demo.report import ReportFacts, render_report, write_report
from vtk.evals.record import EvalRow
from vtk.format import format_percent

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
HOSTILE = (
    '<script>document.title="owned"</script><img src=x onerror="document.title=1">'
    "</pre></main>\x1b]52;c;AAAA\x07 $lead ${style} &lt; [/b]"
)


def curves(num_steps: int, has_reference: bool) -> RunCurves:
    points = [(step, 0.5 + 0.01 * step) for step in range(1, num_steps + 1)]
    metrics: dict[str, Any] = {"reward/mean": points, "acc/inferential": points}
    if has_reference:
        metrics["kl/signed"] = [*points[:-1], (num_steps, math.nan)]
    return RunCurves(metrics, {"inferential": points, "observational": points}, num_steps, 0)


@pytest.fixture
def facts(
    document_of: Callable[..., dict[str, Any]], rows_of: Callable[..., dict[str, list[EvalRow]]]
) -> ReportFacts:
    rows = rows_of(num_clips=20)
    config: Mapping[str, Any] = {
        "config": {"stage": "cdpo", "objective": {"beta": -0.01}, "model": {"path": "tiny"}},
        "provenance": {"objective.beta": "command line"},
    }
    frames = [Frame(0.32 * index, PIXEL) for index in range(8)]
    return ReportFacts(
        document_of(num_clips=20),
        {"bias": curves(60, False), "grpo": curves(100, False), "cdpo": curves(100, True)},
        [(example, frames) for example in choose_examples(rows, 0)],
        {"grpo": config, "cdpo": config},
    )


@pytest.fixture
def hostile_facts(facts: ReportFacts) -> ReportFacts:
    """The same where every text that came from outside is an attack."""
    examples = []
    for example, frames in facts.examples:
        assert example.said is not None
        said = {
            name: replace(
                row, completion=HOSTILE, problem=HOSTILE, solution=HOSTILE, clip_id=HOSTILE
            )
            for name, row in example.said.items()
        }
        examples.append((Example(example.outcome, said), frames))
    configs = {HOSTILE: {"config": {HOSTILE: HOSTILE}, "provenance": {}}}
    return replace(facts, examples=examples, configs=configs)


def test_nothing_is_fetched_and_nothing_runs(facts: ReportFacts) -> None:
    html = render_report(facts)
    page = Page(html)
    assert {tag for tag, _ in page.elements} & {
        "script",
        "iframe",
        "object",
        "link",
        "form",
    } == set()
    assert all(source.startswith("data:") for source in page.all("src"))
    assert all(target.startswith("#") for target in page.all("href"))
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"""["'(]\s*(https?:)?//""", html)
    assert [name for _, found in page.elements for name in found if name.startswith("on")] == []


def test_every_link_leads_to_a_section_and_ids_are_unique(facts: ReportFacts) -> None:
    page = Page(render_report(facts))
    ids = page.all("id")
    assert len(set(ids)) == len(ids) >= 8
    assert {target.removeprefix("#") for target in page.all("href")} == set(ids)


def test_numbers_are_those_of_the_document(facts: ReportFacts) -> None:
    page = Page(render_report(facts))
    cells = [found for tag, found in page.elements if tag == "td" and "data-strict" in found]
    assert len(cells) == 4 * 3
    models = facts.document["models"]
    for cell in cells:
        found = models[cell["data-model"]][cell["data-type"]]
        assert float(cell["data-strict"]) == found["strict"]
        assert int(cell["data-n"]) == found["n"]
        assert format_percent(found["strict"]) in page.text


def test_all_findings_commands_and_settings_are_on_the_page(facts: ReportFacts) -> None:
    text = "\n".join(Page(render_report(facts)).text)
    findings = facts.document["findings"]
    for said in (findings["headline"], findings["decisive"], *findings["details"]):
        assert said in text
    for said in (*findings["caveats"], "vtk split clevrer-mini", "objective.beta", "0123abc"):
        assert said in text
    assert "no run has a reference model" not in text


def test_hostile_text_stays_text(hostile_facts: ReportFacts) -> None:
    html = render_report(hostile_facts)
    page = Page(html)
    assert not any(tag == "script" for tag, _ in page.elements)
    assert not any("onerror" in found for _, found in page.elements)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", html)
    assert '<script>document.title="owned"</script>' in "".join(page.text)


def test_missing_outcomes_and_models_without_strategies_are_said(
    facts: ReportFacts, document_of: Callable[..., dict[str, Any]]
) -> None:
    document = document_of(num_clips=20)
    document["phase"] = None
    document["strategies"] = {name: {} for name in document["strategies"]}
    bare = replace(facts, document=document, examples=[(Example("both wrong", None), [])])
    text = " ".join(Page(render_report(bare)).text)
    assert "no held-out question ended so" in text
    assert "The base model did not show both strategies." in text
    assert "No completion shows either strategy." in text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine")
def test_a_real_browser_shows_the_page_and_runs_nothing(
    hostile_facts: ReportFacts, tmp_path: Path
) -> None:
    write_report(tmp_path / "report.html", hostile_facts)
    picture = tmp_path / "report.png"
    done = browse(tmp_path, "--window-size=1280,2000", f"--screenshot={picture}")
    assert done.returncode == 0, done.stderr
    from PIL import Image

    with Image.open(picture) as image:
        colours = image.convert("RGB").resize((160, 250)).getcolors(160 * 250)
    assert colours is not None
    assert len(colours) > 100, "the page is not blank"
    dom = browse(tmp_path, "--dump-dom").stdout
    assert "<title>vtk demo, seed 0" in dom, "no script of the page's text changed the title"
    assert len(re.findall(r"<section id=", dom)) == 9
    assert 'data-model="cdpo"' in dom


def browse(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open the report in headless Chromium with a profile of its own."""
    assert CHROMIUM is not None
    quiet = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
    )  # fmt: skip
    return subprocess.run(
        [CHROMIUM, *quiet, *options, f"file://{folder / 'report.html'}"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
