"""Programs of CLEVRER's questions give the removed object, the polarity and the options' pairs."""

import pytest

from vtk.data.clevrer import MalformedRowError, SceneObject
from vtk.data.programs import Intervention, read_option, read_question

SCENE = {
    i: SceneObject(i, *attributes)
    for i, attributes in enumerate(
        [
            ("blue", "rubber", "sphere"),
            ("brown", "metal", "cube"),
            ("gray", "metal", "sphere"),
            ("gray", "rubber", "cylinder"),
        ]
    )
}
# As published, for instance in JugalGajjar/CausalSight:results/clevrer_format_report.md.
OLDER = "all_events objects cylinder filter_shape unique get_counterfact belong_to"
NEWER = "all_events objects cylinder filter_shape unique filter_counterfact belong_to"
OPTION = (
    "all_events objects blue filter_color rubber filter_material sphere filter_shape unique "
    "filter_collision objects cube filter_shape unique filter_collision unique"
)


@pytest.mark.parametrize("program", [OLDER, NEWER])
def test_both_spellings_name_the_removed_object(program: str) -> None:
    assert read_question(program.split(), SCENE) == Intervention(3, is_negated=False)


def test_negate_turns_the_polarity_each_time() -> None:
    program = OLDER.split()
    assert read_question([*program, "negate"], SCENE) == Intervention(3, is_negated=True)
    assert read_question([*program, "negate", "negate"], SCENE) == Intervention(3, False)


def test_an_option_names_an_unordered_pair() -> None:
    assert read_option(OPTION.split(), SCENE) == (0, 1)
    swapped = (
        "all_events objects cube filter_shape unique filter_collision objects blue filter_color "
        "unique filter_collision unique"
    )
    assert read_option(swapped.split(), SCENE) == (0, 1)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("all_events objects sphere filter_shape unique get_counterfact belong_to", "found 2 obj"),
        ("all_events objects red filter_color unique get_counterfact belong_to", "found 0 objects"),
        ("all_events objects unique get_counterfact belong_to", "found 4 objects"),
        ("all_events belong_to", "removes no object"),
        ("unseen_events belong_to", "unknown word 'unseen_events'"),
        ("all_events objects pink filter_color unique get_counterfact belong_to", "'pink'"),
        ("objects get_counterfact belong_to", "'filter_counterfact' needs object, found objects"),
        ("get_counterfact", "'filter_counterfact' needs object, found event"),
        ("negate", "'negate' needs verdict"),
        ("belong_to", "'belong_to' needs events, found event"),
        ("", "does not end with a verdict"),
        ("all_events objects cylinder filter_shape unique get_counterfact", "leaves 2 values"),
        ("objects cylinder filter_color unique", "found 0 objects"),
        ("filter_color", "'filter_color' needs str, found event"),
        ("unique", "'unique' needs objects or events"),
    ],
)
def test_a_question_that_does_not_run_says_why(program: str, reason: str) -> None:
    with pytest.raises(MalformedRowError, match=reason):
        read_question(program.split(), SCENE)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "leaves 0 values"),
        ("unique", "'unique' needs objects or events"),
        ("filter_shape", "'filter_shape' lacks an argument"),
        ("objects cube filter_shape unique", "does not end with one event"),
        ("all_events objects cube filter_shape unique filter_collision unique", "found 3 events"),
        (
            "all_events objects cube filter_shape unique filter_collision "
            "objects cube filter_shape unique filter_collision unique",
            "found 3 events",
        ),
    ],
)
def test_an_option_that_does_not_run_says_why(program: str, reason: str) -> None:
    with pytest.raises(MalformedRowError, match=reason):
        read_option(program.split(), SCENE)
