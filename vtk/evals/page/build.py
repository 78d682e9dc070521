"""compare.html: a comparison that people can look through, in one file.

Self-contained: style, script, data and pictures are in it and nothing is fetched. The page's own
policy lets exactly its script and its style run, by their hashes, so that no text of a model or a
data set can act even if it were to reach the markup; it does not: texts are JSON in which nothing
closes an element, and the script writes them as text only.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from vtk.evals.page.differing import MAX_QUESTIONS, Differing
from vtk.evals.page.frames import NUM_SHOWN_FRAMES, Strips
from vtk.evals.page.tables import suite_tables
from vtk.format import format_count
from vtk.runs.files import write_bytes_atomic
from vtk.svg import element, safe

_ESCAPES: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_MAX_PROBLEMS_SHOWN: Final = 10


@dataclass(frozen=True)
class PageFacts:
    """Everything that a page shows.

    Attributes:
        documents: Name of results -> the comparison's document (`vtk.evals.compare.compare_runs`),
            with `published` where that was asked for.
        questions: Name of results -> the questions on which the runs part ways.
        strips: Pictures of their clips.
    """

    documents: Mapping[str, Mapping[str, Any]]
    questions: Mapping[str, Sequence[Differing]]
    strips: Strips

    @property
    def runs(self) -> list[str]:
        """The runs, the baseline first."""
        first = next(iter(self.documents.values()))
        return [run["run"] for run in first["runs"]]


def write_page(path: Path, facts: PageFacts) -> None:
    """Write the page.

    Raises:
        VtkError: The file cannot be written.
    """
    write_bytes_atomic(path, render_page(facts).encode())


def render_page(facts: PageFacts) -> str:
    """The page as HTML."""
    style, script = _resource("page.css"), _resource("page.js")
    shown = _shown(facts.questions)
    title = f"{' and '.join(facts.runs)}, side by side"
    return Template(_resource("page.html")).substitute(
        title=safe(title),
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        tables="".join(suite_tables(name, doc) for name, doc in facts.documents.items()),
        about=safe(_about(facts, len(shown))),
        problems=_problems(facts.strips.problems),
        data=_as_json(
            {
                "runs": [safe_name(name) for name in facts.runs],
                "questions": [one.facts for one in shown],
                "strips": dict(facts.strips.by_key),
            }
        ),
    )


def safe_name(text: str) -> str:
    """A run's name for the script, which writes it as text."""
    from vtk.format import visible_text

    return visible_text(text)


def _shown(questions: Mapping[str, Sequence[Differing]]) -> list[Differing]:
    """As many as a page holds, each suite its fair share; those with pictures first."""
    total = sum(map(len, questions.values()))
    share = 1.0 if total <= MAX_QUESTIONS else MAX_QUESTIONS / total
    kept = [one for found in questions.values() for one in found[: int(len(found) * share)]]
    return sorted(kept, key=lambda one: one.facts["frames"] is None)


def _about(facts: PageFacts, num_shown: int) -> str:
    total = sum(map(len, facts.questions.values()))
    asked = sum(document["num_questions"] for document in facts.documents.values())
    left = f"; {format_count(num_shown)} are on this page, drawn at random" * (num_shown < total)
    pictures = ""
    if facts.strips.by_key:
        pictures = (
            f" Pictures: up to {NUM_SHOWN_FRAMES} of the frames that {facts.runs[0]} was shown"
            f", of {format_count(len(facts.strips.by_key))} clips."
        )
    if facts.strips.num_left_out:
        pictures += (
            f" {format_count(facts.strips.num_left_out)} questions are without, to keep the "
        )
        pictures += "file small; --html-clips N shows more."
    return (
        f"The runs part ways on {format_count(total)} of {format_count(asked)} questions: one is "
        f"right and another is not, or they are wrong in different ways{left}.{pictures}"
    )


def _problems(problems: Sequence[str]) -> str:
    if not problems:
        return ""
    shown = [element("li", {}, safe(text)) for text in problems[:_MAX_PROBLEMS_SHOWN]]
    left = len(problems) - len(shown)
    more = [element("li", {}, f"and {left} more")] if left else []
    return element("ul", {"class": "problems"}, *shown, *more)


def _as_json(value: object) -> str:
    """JSON that can stand in a script element: in ASCII, and nothing in it looks like markup."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False).translate(_ESCAPES)


def _csp_hash(text: str) -> str:
    """How a policy names one inline script or style (https://www.w3.org/TR/CSP3/#match-element)."""
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


def _resource(name: str) -> str:
    return files("vtk.evals.page").joinpath(name).read_text(encoding="utf-8")
