"""The intervention is taken out of every form that CLEVRER uses, and of no other."""

from itertools import product

import pytest

from vtk.data.intervention import remove_intervention

THINGS = [
    "the cylinder",
    "the red sphere",
    "the metal cube",
    "the blue rubber sphere",
    "the green object",
    "the object",
]
EVENTS = [
    f"{subject} {verb} happen"
    for subject in ("what", "which event", "which of the following")
    for verb in ("will", "will not")
]


@pytest.mark.parametrize(("thing", "event"), list(product(THINGS, EVENTS)))
def test_every_form_of_the_grammar_loses_its_intervention(thing: str, event: str) -> None:
    asked = f"{event[0].upper()}{event[1:]}"
    for question in (
        f"Without {thing}, {event}?",
        f"If {thing} is removed, {event}?",
        f"{asked} without {thing}?",
        f"{asked} if {thing} is removed?",
    ):
        assert remove_intervention(question) == f"{asked}?"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Without the red sphere, what will happen?", "What will happen?"),
        (
            "If the cyan object is removed, which of the following will not happen?",
            "Which of the following will not happen?",
        ),
        ("Which event will happen if the cylinder is removed?", "Which event will happen?"),
    ],
)
def test_the_examples_of_the_paper_s_figure(question: str, expected: str) -> None:
    assert remove_intervention(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What will happen?",
        "What will happen next?",
        "What would happen without the red sphere?",
        "Without the red sphere, what will happen",
        "Without the pink sphere, what will happen?",
        "Without the red sphere and the cube, what will happen?",
        "If the red sphere is moved, what will happen?",
        "Which event will happen if the cylinder is removed? Why?",
    ],
)
def test_an_unknown_form_is_refused(question: str) -> None:
    with pytest.raises(ValueError, match="no known form"):
        remove_intervention(question)
