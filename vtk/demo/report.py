"""report.html: one file that says what a demo found and shows what it rests on.

Self-contained: style and drawings are inline, frames are data URIs, nothing is fetched and nothing
runs (the page's own policy forbids both). Every text that did not come from this package is
escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from vtk.demo.curves import RunCurves
from vtk.demo.examples import Example, Frame
from vtk.demo.report_examples import example_cards
from vtk.demo.report_results import (
    accuracy_charts,
    accuracy_table,
    difference_charts,
    difference_table,
)
from vtk.demo.report_runs import curve_charts, model_legend, phase_panels, share_charts
from vtk.demo.report_settings import config_tables, machine_table, step_table
from vtk.format import format_count, format_duration_s
from vtk.runs.files import write_bytes_atomic
from vtk.svg import element, safe


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything that a report shows.

    Attributes:
        document: results.json.
        curves: Model name -> its training run over its steps.
        examples: Held-out questions, each with its frames.
        configs: Model name -> config.json of its training run.
    """

    document: Mapping[str, Any]
    curves: Mapping[str, RunCurves]
    examples: Sequence[tuple[Example, Sequence[Frame]]]
    configs: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Section:
    """One part of the page; `body` is markup."""

    id: str
    heading: str
    about: str
    body: str

    def markup(self) -> str:
        about = element("p", {"class": "about"}, safe(self.about)) if self.about else ""
        return element("section", {"id": self.id}, _heading(self.heading), about, self.body)

    def link(self) -> str:
        return element("a", {"href": f"#{self.id}"}, safe(self.heading))


def write_report(path: Path, facts: ReportFacts) -> None:
    """Write the page.

    Raises:
        VtkError: The file cannot be written.
    """
    write_bytes_atomic(path, render_report(facts).encode())


def render_report(facts: ReportFacts) -> str:
    """The page as HTML."""
    document = facts.document
    findings, sections = document["findings"], _sections(facts)
    page = Template(_resource("report.html"))
    return page.substitute(
        title=safe(f"vtk demo, seed {document['seed']}: {findings['verdict']}"),
        style=_resource("report.css"),
        verdict=safe(findings["verdict"]),
        verdict_css=safe(findings["verdict"].split()[0]),
        kicker=safe(_kicker(document)),
        lead=safe(findings["headline"]),
        decisive=safe(findings["decisive"]),
        navigation="".join(section.link() for section in sections),
        sections="".join(section.markup() for section in sections),
        footer=safe(
            "Written by vtk demo. The numbers are those of results.json beside this page; the runs "
            "with every completion are in the folder runs."
        ),
    )


def _sections(facts: ReportFacts) -> list[_Section]:
    return [*_found_sections(facts.document), *_run_sections(facts)]


def _found_sections(document: Mapping[str, Any]) -> list[_Section]:
    """What came out."""
    return [
        _Section(
            "results",
            "Results",
            "The same held-out questions for all models, answered at temperature "
            f"{document['settings']['temperature']:g} as in training. Strict: the set of letters "
            "is right. In brackets the 95 % interval, clustered by clip.",
            _card(accuracy_table(document)) + _gap() + accuracy_charts(document),
        ),
        _Section("found", "What was found", "", _findings_list(document)),
        _Section(
            "differences",
            "Paired differences",
            "Second model minus first, question by question; bars are 95 % intervals by clip.",
            difference_charts(document)
            + _folded("All pairs as a table", difference_table(document)),
        ),
        _Section(
            "strategies",
            "Which strategy they follow",
            "Share of held-out completions by the kind of reasoning they write down.",
            share_charts(document),
        ),
    ]


def _run_sections(facts: ReportFacts) -> list[_Section]:
    """How it came about."""
    document = facts.document
    return [
        _Section(
            "curves",
            "Training",
            "Faint lines are single steps, strong lines their moving average. Shares and "
            "accuracies here are of the training completions.",
            curve_charts(facts.curves),
        ),
        _Section(
            "clips",
            "Clips and answers",
            "",
            model_legend(list(document["models"])) + example_cards(facts.examples),
        ),
        _Section(
            "phase",
            "What first-order analysis expects",
            "Which strategy one step drifts to, by the share of observational questions and how "
            "often reasoning is right (equally on both types); the line is where nothing moves.",
            phase_panels(document),
        ),
        _Section(
            "settings",
            "Settings",
            "Settings on which the runs differ.",
            _card(config_tables(facts.configs)),
        ),
        _Section(
            "repeat",
            "How to repeat it",
            f"Everything at once: {document['repeat']}. Or command by command:",
            _card(step_table(document)) + _folded("Machine and versions", machine_table(document)),
        ),
    ]


def _kicker(document: Mapping[str, Any]) -> str:
    questions, took = document["questions"], format_duration_s(document["wall_s"])
    return (
        f"{'Quick demo' if document['is_quick'] else 'Demo'}, seed {document['seed']}, "
        f"{document['created']}: {format_count(questions['num_held_out'])} held-out questions "
        f"about {format_count(questions['num_clips'])} clips, {took} of computing"
    )


def _findings_list(document: Mapping[str, Any]) -> str:
    findings = document["findings"]
    details = element("ul", {"class": "plain"}, *(_item(text) for text in findings["details"]))
    caveats = element("ul", {"class": "plain"}, *(_item(text) for text in findings["caveats"]))
    return details + element("h3", {}, "What the numbers cannot say") + caveats


def _item(text: str) -> str:
    return element("li", {}, safe(text))


def _heading(text: str) -> str:
    return element("h2", {}, safe(text))


def _card(markup: str) -> str:
    return element("div", {"class": "card"}, markup)


def _gap() -> str:
    return element("div", {"style": "height:16px"})


def _folded(summary: str, markup: str) -> str:
    return element("details", {}, element("summary", {}, safe(summary)), _card(markup))


def _resource(name: str) -> str:
    return files("vtk.demo").joinpath(name).read_text(encoding="utf-8")
