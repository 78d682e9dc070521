"""The tables of a page: per suite every type's accuracies, differences and verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtk.format import format_count, format_interval, format_number, format_percent
from vtk.svg import element, safe

_COLUMNS: Final = ("type", "n", "", "", "points", "95 % by clip", "p", "up/down", "verdict")


def suite_tables(name: str, document: Mapping[str, Any]) -> str:
    """One suite: a table for each run against the baseline, what to bear in mind, and what others
    published.

    Args:
        name: The name of the results.
        document: The comparison, from `vtk.evals.compare.compare_runs`.
    """
    accuracies = {run["run"]: run[document["headline"]] for run in document["runs"]}
    tables = [
        _table(document["baseline"], entry["run"], entry[document["headline"]], accuracies)
        for entry in document["differences"]
    ]
    about = (
        f"{format_count(document['num_questions'])} questions about "
        f"{format_count(document['num_clips'])} clips, scored by {document['headline']}."
    )
    return element(
        "section",
        {},
        element("h2", {}, safe(name)),
        element("p", {"class": "about"}, safe(about)),
        *tables,
        _notes(document),
        _published(document.get("published") or []),
    )


def verdict(found: Mapping[str, Any], run: str, baseline: str) -> tuple[str, str]:
    """What a paired difference says, in words, and the class of its cell.

    Args:
        found: {difference, ci95, questions_to_resolve, …} of one type.
        run: The run that was compared.
        baseline: The run that it was compared with.
    """
    low, high = found["ci95"]
    if low > 0:
        return f"{run} is better", "better"
    if high < 0:
        return f"{baseline} is better", "worse"
    needed = found["questions_to_resolve"]
    more = f"; about {format_count(needed)} questions would tell" if needed else ""
    return f"not decided{more}", "undecided"


def _table(
    baseline: str,
    run: str,
    found: Mapping[str, Mapping[str, Any]],
    accuracies: Mapping[str, Mapping[str, Any]],
) -> str:
    columns = [*_COLUMNS]
    columns[2:4] = [baseline, run]
    head = element("tr", {}, *(element("th", {"scope": "col"}, safe(name)) for name in columns))
    rows = [
        _row(kind, difference, accuracies[baseline][kind], accuracies[run][kind], run, baseline)
        for kind, difference in found.items()
    ]
    table = element("table", {}, element("thead", {}, head), element("tbody", {}, *rows))
    return element("div", {"class": "scroll"}, table)


def _row(
    kind: str,
    found: Mapping[str, Any],
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    run: str,
    baseline: str,
) -> str:
    words, css = verdict(found, run, baseline)
    cells = [
        kind,
        format_count(found["n"]),
        f"{format_percent(first['accuracy'])} {format_interval(*first['ci95'])}",
        f"{format_percent(second['accuracy'])} {format_interval(*second['ci95'])}",
        f"{100 * found['difference']:+.1f}",
        " to ".join(f"{100 * end:+.1f}" for end in found["ci95"]),
        format_number(found["p_value"], 2),
        f"{found['num_better']}/{found['num_worse']}",
    ]
    marked = element("td", {"class": css}, safe(words))
    return element("tr", {}, *(element("td", {}, safe(cell)) for cell in cells), marked)


def _notes(document: Mapping[str, Any]) -> str:
    """What a reader should know before believing the table."""
    notes = [
        f"{run['run']} is not complete: answers or judgements are missing."
        for run in document["runs"]
        if not run["complete"]
    ]
    differing = [key for key in document["settings_differ"] if not key.startswith("model.")]
    if differing:
        notes.append(f"They were not asked alike: {', '.join(differing)} differ.")
    num_types = max(len(entry[document["headline"]]) for entry in document["differences"])
    if num_types > 1:
        notes.append(
            f"{num_types} intervals stand here; of 20 where nothing differs, one leaves zero out."
        )
    return element("ul", {"class": "notes"}, *(element("li", {}, safe(text)) for text in notes))


def _published(numbers: Sequence[Mapping[str, Any]]) -> str:
    if not numbers:
        return ""
    columns = ("model", "of", "published", "asked and scored", "source")
    head = element("tr", {}, *(element("th", {"scope": "col"}, name) for name in columns))
    rows = [
        element(
            "tr",
            {},
            *(
                element("td", {}, safe(cell))
                for cell in (
                    number["model"],
                    number["type"],
                    format_percent(number["accuracy"]),
                    number["asked"],
                    number["source"],
                )
            ),
        )
        for number in numbers
    ]
    table = element("table", {}, element("thead", {}, head), element("tbody", {}, *rows))
    said = "Published by others: not measured here, not paired, no interval"
    return element(
        "details",
        {"class": "published"},
        element("summary", {}, said),
        element("div", {"class": "scroll"}, table),
    )
