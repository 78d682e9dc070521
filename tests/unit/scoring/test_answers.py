"""Reading answers and gold, as properties and at the edges."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtk.errors import DataError
from vtk.scoring.answers import (
    MAX_ANSWER_CHARS,
    extract_answer,
    is_blank,
    join_letters,
    parse_gold,
    parse_letters,
)
from vtk.scoring.rewards import completion_text, format_reward, grade

LETTER_SETS = st.sets(st.sampled_from("ABCDE"), min_size=1)
SEPARATORS = st.sampled_from([",", ", ", " ", "\n", " and ", "; ", " & ", ", and "])
COVERS = st.sampled_from(["{}", "({})", "[{}]", "{}.", "**{}**", '"{}"', "Option {}"])
TEXT_WITH_TAGS = st.lists(
    st.one_of(
        st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "A", "B, C", " ", "none"]),
        st.text(max_size=5),
    ),
    max_size=12,
).map("".join)


@given(
    letters=LETTER_SETS, separator=SEPARATORS, cover=COVERS, is_lower=st.booleans(), data=st.data()
)
def test_every_notation_names_the_same_letters(
    letters: set[str], separator: str, cover: str, is_lower: bool, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(sorted(letters)))
    shown = [letter.lower() if is_lower else letter for letter in order]
    assert parse_letters(separator.join(map(cover.format, shown)), 5) == frozenset(letters)


@given(completion=TEXT_WITH_TAGS, num_options=st.integers(1, 5))
def test_grading_never_fails_and_stays_in_bounds(completion: str, num_options: int) -> None:
    graded = grade(completion, "A", num_options)
    for score in (graded.strict, graded.partial, graded.per_option, graded.lenient, graded.format):
        assert 0.0 <= score <= 1.0
    assert graded.strict <= graded.partial <= graded.per_option
    assert graded.strict <= graded.lenient
    assert (graded.extraction.letters is None) == (graded.extraction.status not in ("ok", "none"))
    letters = graded.extraction.letters or frozenset()
    assert letters <= set(string.ascii_uppercase[:num_options])


@given(completion=TEXT_WITH_TAGS)
def test_a_question_without_gold_pays_nothing(completion: str) -> None:
    graded = grade(completion, "", 4)
    assert (graded.strict, graded.partial, graded.per_option, graded.lenient) == (0, 0, 0, 0)


@given(letters=LETTER_SETS)
def test_join_and_parse_are_inverse(letters: set[str]) -> None:
    joined = join_letters(letters)
    assert joined is not None
    assert parse_gold(joined, 5) == frozenset(letters)
    assert parse_gold(f"<answer>{joined}</answer>", 5) == frozenset(letters)


@pytest.mark.parametrize("solution", ["E", "the cube", "A or B", "1", "none"])
def test_a_bad_gold_is_an_error_that_names_it(solution: str) -> None:
    with pytest.raises(DataError, match=solution):
        parse_gold(solution, 4)


def test_gold_may_be_absent() -> None:
    assert parse_gold("", 4) == frozenset()
    assert parse_gold("<answer></answer>", 4) == frozenset()


def test_a_list_longer_than_any_alphabet_is_unparsable() -> None:
    fits = "A" + " " * (MAX_ANSWER_CHARS - 1)
    assert parse_letters(fits, 4) == frozenset("A")
    assert parse_letters(fits + " ", 4) is None


def test_lenient_reports_why_strict_found_nothing() -> None:
    reading = extract_answer("red hits blue", 4, mode="lenient")
    assert (reading.letters, reading.status) == (None, "missing")
    reading = extract_answer("<answer>the cube</answer>", 4, mode="lenient")
    assert (reading.letters, reading.status, reading.text) == (None, "unparsable", "the cube")


def test_extraction_keeps_the_text_it_read() -> None:
    assert extract_answer("<answer> the cube </answer>", 4).text == "the cube"


def test_blank_means_nothing_to_see() -> None:
    assert is_blank("\u200b \u00a0\n\ufeff")
    assert not is_blank(".")


def test_conversations_are_read_by_their_last_message() -> None:
    said = "<think>x</think><answer>A</answer>"
    conversation = [{"role": "assistant", "content": said}]
    assert completion_text(conversation) == said
    assert format_reward([conversation, conversation[0]["content"][:-1]]) == [1.0, 0.0]
