"""The report's numbers: the table of accuracies, intervals, paired differences."""

from collections.abc import Mapping
from typing import Any, Final

from vtk.demo.interval_chart import Interval, draw_intervals
from vtk.demo.results import MAIN_MODELS, pairs_of, split_pair
from vtk.demo.sentences import format_points
from vtk.format import MISSING, format_count, format_interval, format_percent
from vtk.svg import element, safe

TITLES: Final = {"base": "base", "bias": "bias", "grpo": "GRPO", "cdpo": "CDPO"}
TABLE_TYPES: Final = ("observational", "inferential", "all")


def css_of(model: str) -> str:
    """The class that colours a model; what is not one of the four is a variant."""
    return model if model in MAIN_MODELS else "variant"


def title_of(model: str) -> str:
    """How the report's tables and charts call a model."""
    return TITLES.get(model, model)


def swatch(css: str) -> str:
    """A small square in a model's or strategy's colour."""
    return element("span", {"class": f"swatch {css}"})


def table_of(columns: list[str], rows: list[list[str]], text_columns: int = 1) -> str:
    """A table whose cells are markup already; the first `text_columns` columns hold text."""

    def line(cells: list[str], tag: str) -> str:
        parts = []
        for index, cell in enumerate(cells):
            if cell.startswith("<td"):
                parts.append(cell)
            else:
                css = {"class": "text"} if index < text_columns else {}
                parts.append(element(tag, css, cell))
        return element("tr", {}, *parts)

    head = element("thead", {}, line([safe(name) for name in columns], "th"))
    body = element("tbody", {}, *(line(row, "td") for row in rows))
    return element("div", {"class": "scroll"}, element("table", {}, head, body))


def accuracy_table(document: Mapping[str, Any]) -> str:
    """Strict accuracy with its interval, per-option score and n, a row per model."""
    columns = ["model", *(f"{name} (strict)" for name in TABLE_TYPES), "per option", "questions"]
    rows = []
    for model, found in document["models"].items():
        name = swatch(css_of(model)) + safe(title_of(model))
        cells = [_accuracy_cell(model, kind, found[kind]) for kind in TABLE_TYPES]
        per_option = safe(format_percent(found["all"]["per_option"]))
        rows.append([name, *cells, per_option, safe(format_count(found["all"]["n"]))])
    return table_of(columns, rows)


def accuracy_charts(document: Mapping[str, Any]) -> str:
    """One chart per question type: each model's accuracy with its interval."""
    cards = []
    for kind in ("inferential", "observational"):
        rows = [
            Interval(
                title_of(model),
                css_of(model),
                found[kind]["strict"],
                tuple(found[kind]["ci95"]),
                format_percent(found[kind]["strict"]),
            )
            for model, found in document["models"].items()
            if found[kind]["n"]
        ]
        if rows:
            heading = f"{kind.capitalize()} questions, strictly right"
            cards.append(element("div", {"class": "card"}, draw_intervals(heading, rows)))
    return element("div", {"class": "row wide"}, *cards)


def difference_charts(document: Mapping[str, Any]) -> str:
    """One chart per question type: the paired differences around zero."""
    cards = []
    for kind in ("inferential", "observational"):
        rows = [
            Interval(
                _pair_title(pair),
                css_of(split_pair(pair)[1]),
                found[kind]["difference"],
                tuple(found[kind]["ci95"]),
                format_points(found[kind]["difference"]),
            )
            for pair, found in document["paired"].items()
            if kind in found
        ]
        if rows:
            heading = f"{kind.capitalize()} questions, difference in points"
            chart = draw_intervals(heading, rows, is_difference=True)
            cards.append(element("div", {"class": "card"}, chart))
    return element("div", {"class": "row wide"}, *cards)


def difference_table(document: Mapping[str, Any]) -> str:
    """Every reported pair by question type, with p-value and what changed."""
    columns = ["pair", "type", "difference", "95 % interval", "p", "better / worse", "questions"]
    rows = []
    for pair in pairs_of(list(document["models"])):
        for kind in TABLE_TYPES:
            found = document["paired"][pair].get(kind)
            if found is None:
                continue
            low, high = (format_points(end) for end in found["ci95"])
            cells = [
                f"{format_points(found['difference'])} points",
                f"{low} to {high}",
                f"{found['p_value']:.2g}",
                f"{found['num_better']} / {found['num_worse']}",
                format_count(found["n"]),
            ]
            rows.append([safe(_pair_title(pair)), safe(kind), *(safe(cell) for cell in cells)])
    return table_of(columns, rows, text_columns=2)


def _accuracy_cell(model: str, kind: str, found: Mapping[str, Any]) -> str:
    if not found["n"]:
        return element("td", {}, MISSING)
    value = {
        "data_model": model,
        "data_type": kind,
        "data_strict": repr(found["strict"]),
        "data_n": found["n"],
    }
    interval = element("span", {"class": "ci"}, safe(format_interval(*found["ci95"])))
    return element("td", value, safe(format_percent(found["strict"])), interval)


def _pair_title(pair: str) -> str:
    first, second = split_pair(pair)
    return f"{title_of(second)} − {title_of(first)}"
