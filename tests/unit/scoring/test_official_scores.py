"""Our scores against independent statements of the official ones, over every answer there is.

CLEVRER's evaluation (chuangg/CLEVRER:executor/run_mc.py) judges each option by itself: right when
the correct-or-wrong call equals the label; a question is right when all of its options are. The
soft reward is that of longmalongma/TW-GRPO:src/open_r1/grpo.py. All restated here in our own words.
"""

from itertools import combinations

import pytest

from vtk.scoring.rewards import grade

ANSWERS = [frozenset(chosen) for size in range(1, 5) for chosen in combinations("ABCD", size)]


def write(letters: frozenset[str]) -> str:
    return ",".join(sorted(letters))


def official_calls(said: frozenset[str], gold: frozenset[str]) -> list[bool]:
    return [(letter in said) == (letter in gold) for letter in "ABCD"]


@pytest.mark.parametrize("gold", ANSWERS, ids=write)
def test_question_and_option_scores_are_clevrers(gold: frozenset[str]) -> None:
    assert len(ANSWERS) == 15
    for said in ANSWERS:
        graded = grade(f"<answer>{write(said)}</answer>", write(gold), 4)
        calls = official_calls(said, gold)
        assert graded.strict == float(all(calls))
        assert graded.per_option == pytest.approx(sum(calls) / 4)


@pytest.mark.parametrize("gold", ANSWERS, ids=write)
def test_soft_credit_is_the_published_one_wherever_its_notation_is_kept(
    gold: frozenset[str],
) -> None:
    for said in ANSWERS:
        published = len(said) / len(gold) if said.issubset(gold) else 0.0
        found = grade(f"<answer>{write(said)}</answer>", write(gold), 4)
        assert found.partial == pytest.approx(published)


def test_answering_everything_or_nothing_pays_no_question() -> None:
    golds = [gold for gold in ANSWERS if len(gold) < 4]
    for said in ("A,B,C,D", "none"):
        grades = [grade(f"<answer>{said}</answer>", write(gold), 4) for gold in golds]
        assert {graded.strict for graded in grades} == {0.0}
        assert {graded.partial for graded in grades} == {0.0}
