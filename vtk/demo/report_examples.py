"""The report's clips: frames, question, gold, and what each model wrote. All of it is escaped."""

from collections.abc import Sequence
from html import escape

from vtk.demo.examples import RULE, Example, Frame
from vtk.demo.report_results import css_of, title_of
from vtk.evals.record import EvalRow
from vtk.format import MISSING
from vtk.svg import element, safe


def example_cards(examples: Sequence[tuple[Example, Sequence[Frame]]]) -> str:
    """A card per example, and the rule that chose them."""
    cards = [_card(example, frames) for example, frames in examples]
    return element("p", {"class": "about"}, safe(RULE)) + "".join(cards)


def _card(example: Example, frames: Sequence[Frame]) -> str:
    heading = element("h3", {}, safe(example.outcome))
    if example.said is None:
        none = element("span", {"class": "tag"}, "no held-out question ended so")
        inner = element("div", {"class": "asked"}, heading, none)
        return element("div", {"class": "card example"}, inner)
    asked = example.question
    facts = f"{asked.label or 'unlabelled'} question, clip {asked.clip_id}"
    answers = [_answer(model, row) for model, row in example.said.items()]
    return element(
        "div",
        {"class": "card example"},
        element("div", {"class": "asked"}, heading, element("span", {"class": "tag"}, safe(facts))),
        element("div", {"class": "frames"}, *(_figure(frame) for frame in frames)),
        element("pre", {}, safe(asked.problem)),
        element("p", {"class": "tag"}, "Right answer: ", element("b", {}, safe(asked.solution))),
        element("div", {"class": "answers"}, *answers),
    )


def _figure(frame: Frame) -> str:
    image = f'<img src="{escape(frame.uri)}" alt="the clip at {frame.time_s:.2f} s">'
    return element("figure", {}, image, element("figcaption", {}, safe(f"{frame.time_s:.2f} s")))


def _answer(model: str, row: EvalRow) -> str:
    is_right = row.strict == 1.0
    said = row.parsed or ("none" if row.parsed == "" else MISSING)
    verdict = f"{said} {'✓ right' if is_right else '✗ wrong'}"
    head = element(
        "header",
        {},
        element("b", {}, safe(title_of(model))),
        element("span", {"class": "right" if is_right else "wrong"}, safe(verdict)),
    )
    strategy = element("div", {"class": "tag"}, safe(row.strategy or "neither strategy"))
    text = element("pre", {}, safe(row.completion or ""))
    return element("div", {"class": f"answer {css_of(model)}"}, head, text, strategy)
