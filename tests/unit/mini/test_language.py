"""Traces are graded as their strategy deserves and recognised for what they are."""

from itertools import combinations, product

import pytest

from vtk.data.problem import build_problem, build_solution, split_problem
from vtk.mini.language import (
    COLLIDE,
    COLORS,
    QUESTION_FORMS,
    STRATEGIES,
    WOULD_COLLIDE,
    Polarity,
    Strategy,
    classify_strategy,
    option_letters,
    render_problem,
    render_trace,
    tokenizer_corpus,
)
from vtk.scoring.rewards import grade

HIT, MISSED = ("blue", "red"), ("purple", "yellow")
EVENTS = [(HIT, 1), (("green", "gray"), 4)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("polarity", QUESTION_FORMS)
@pytest.mark.parametrize("num_options", [2, 3, 4])
def test_a_trace_is_graded_by_its_verdicts(
    strategy: Strategy, polarity: Polarity, num_options: int
) -> None:
    all_flags = list(product([True, False], repeat=num_options))
    for verdicts, gold in product(all_flags, all_flags):
        if not any(gold):
            continue
        options = [HIT[::-1] if verdict else MISSED for verdict in verdicts]
        trace = render_trace(strategy, "cyan", EVENTS, options, polarity)
        chosen = tuple(verdict == (polarity == "will") for verdict in verdicts)
        found = grade(trace, build_solution(i for i, g in enumerate(gold) if g), num_options)
        assert found.format == 1.0
        assert found.strict == found.lenient == float(chosen == gold)
        assert found.per_option == pytest.approx(
            sum(c == g for c, g in zip(chosen, gold, strict=True)) / num_options
        )
        assert classify_strategy(trace) == strategy


def test_traces_read_as_documented() -> None:
    events = [(("red", "blue"), 1), (("gray", "blue"), 4)]
    options = [("blue", "red"), ("red", "green")]
    assert render_trace("describe", "cyan", events, options, "will") == (
        "<think>I see q red-blue, t gray-blue. A red-blue yes, B red-green no.</think>"
        "<answer>A</answer>"
    )
    assert render_trace("reason", "cyan", events, options, "will") == (
        "<think>Without cyan gray>blue, red>blue. A red-blue yes, B red-green no.</think>"
        "<answer>A</answer>"
    )
    assert render_trace("reason", "cyan", [], options, "will_not") == (
        "<think>Without cyan nothing. A red-blue no, B red-green no.</think><answer>A,B</answer>"
    )
    nothing = render_trace("describe", "cyan", [], options, "will")
    assert nothing == (
        "<think>I see nothing. A red-blue no, B red-green no.</think><answer>none</answer>"
    )


def test_a_pair_reads_the_same_whoever_is_named_first() -> None:
    for a, b in product(COLORS, COLORS):
        one, other = (
            render_trace("describe", "cyan", [(pair, 0)], [pair], "will")
            for pair in [(a, b), (b, a)]
        )
        assert one == other


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "A",
        "<think>It is A.</think><answer>A</answer>",
        "<think></think><answer>A</answer>",
        "I see q red-blue. <answer>A</answer>",
        "<answer>A</answer><think>I see q red-blue.</think>",
        "<think>Withoutred blue>green.</think>",
        "<think>I seem to think.</think>",
    ],
)
def test_other_texts_are_neither_strategy(completion: str) -> None:
    assert classify_strategy(completion) is None


def test_leading_space_does_not_hide_a_strategy() -> None:
    assert classify_strategy(" \n<think> Without red nothing.") == "reason"
    assert classify_strategy("<think>\nI see nothing.") == "describe"


def test_the_problem_is_the_published_one() -> None:
    question, options = "Without the red cube, what will happen?", ["The a and the b collide", "C"]
    problem = render_problem(question, options)
    assert problem == build_problem(question, options)
    assert split_problem(problem) == (question, tuple(options))


def test_letters_are_those_of_the_flags() -> None:
    assert option_letters([True, False, True]) == "A,C"
    assert option_letters([False, False]) == ""


def test_the_corpus_holds_every_form_and_word() -> None:
    corpus = tokenizer_corpus()
    text = "\n".join(corpus)
    for forms in QUESTION_FORMS.values():
        for form in forms:
            assert form.format(x="the red metal cube") in text
    for mark in (COLLIDE, WOULD_COLLIDE):
        assert all(f"{a}{mark}{b}" in text for a, b in combinations(COLORS, 2))
    assert "Where is p red" in text
