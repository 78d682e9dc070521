"""Sentences follow from the numbers, whichever way they fall."""

from collections.abc import Callable
from typing import Any

import pytest

from vtk.demo.findings import find
from vtk.demo.sentences import compare_sentence, format_points, judge

Entry = dict[str, Any]


def entry(
    difference: float = 0.0,
    half_width: float = 0.05,
    p_value: float | None = None,
    n: int = 300,
    needed: int | None = None,
    num_changed: int = 40,
) -> Entry:
    is_outside = abs(difference) > half_width
    return {
        "n": n,
        "difference": difference,
        "ci95": [difference - half_width, difference + half_width],
        "p_value": (0.001 if is_outside else 0.4) if p_value is None else p_value,
        "questions_to_resolve": needed,
        "num_better": num_changed // 2 + (difference > 0),
        "num_worse": num_changed // 2 + (difference < 0),
    }


@pytest.fixture
def outcome(document_of: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """A document whose inferential comparisons (and cdpo-grpo observational) are given."""

    def build(
        cdpo_grpo: Entry | None,
        grpo_base: Entry | None = None,
        cdpo_base: Entry | None = None,
        price: Entry | None = None,
    ) -> dict[str, Any]:
        document = document_of(num_clips=20)
        given = {
            "cdpo-grpo": cdpo_grpo,
            "grpo-base": grpo_base or entry(),
            "cdpo-base": cdpo_base or entry(),
        }
        for pair, found in given.items():
            document["paired"][pair] = {"inferential": found} if found else {}
        document["paired"]["cdpo-grpo"]["observational"] = price or entry()
        return document

    return build


GAIN, LOSS, NOTHING = entry(0.12, 0.07), entry(-0.12, 0.07), entry(0.01, 0.05, needed=12_345)
EDGE = entry(0.06, 0.05, p_value=0.07)


@pytest.mark.parametrize(
    ("cdpo_grpo", "grpo_base", "cdpo_base", "price", "verdict", "headline"),
    [
        (GAIN, LOSS, NOTHING, NOTHING, "supported", "The claim came out: plain GRPO lost"),
        (GAIN, LOSS, GAIN, GAIN, "supported", "The claim came out"),
        (GAIN, LOSS, NOTHING, LOSS, "supported", "CDPO did not, at a price on observ"),
        (GAIN, LOSS, LOSS, NOTHING, "partly supported", "Both lost inferential accuracy"),
        (GAIN, NOTHING, NOTHING, NOTHING, "partly supported", "GRPO did not measurably lose"),
        (GAIN, GAIN, GAIN, NOTHING, "partly supported", "GRPO did not measurably lose"),
        (GAIN, EDGE, GAIN, LOSS, "partly supported", "at a price"),
        (LOSS, LOSS, LOSS, NOTHING, "contradicted", "CDPO does worse"),
        (LOSS, GAIN, NOTHING, GAIN, "contradicted", "did not come out"),
        (NOTHING, LOSS, LOSS, NOTHING, "undecided", "undecided."),
        (NOTHING, NOTHING, NOTHING, NOTHING, "undecided", "undecided."),
        (EDGE, LOSS, NOTHING, NOTHING, "undecided", "with a lean"),
        (entry(0.5, 0.1, n=12), LOSS, GAIN, NOTHING, "not tested", "not tested"),
        (None, LOSS, GAIN, NOTHING, "not tested", "not tested"),
    ],
)  # fmt: skip
def test_verdict_follows_from_the_comparisons(
    outcome: Callable[..., dict[str, Any]],
    cdpo_grpo: Entry | None,
    grpo_base: Entry,
    cdpo_base: Entry,
    price: Entry,
    verdict: str,
    headline: str,
) -> None:
    found = find(outcome(cdpo_grpo, grpo_base, cdpo_base, price))
    assert found.verdict == verdict
    assert headline in found.headline


def test_a_gain_says_how_much_with_its_interval() -> None:
    paired = {"cdpo-grpo": {"inferential": entry(0.12, 0.07)}}
    assert compare_sentence(paired, "cdpo-grpo", "inferential") == (
        "CDPO answers inferential questions better than GRPO: "
        "+12.0 points (95 % interval +5.0 to +19.0, 300 questions)."
    )


def test_a_loss_says_worse() -> None:
    paired = {"grpo-base": {"inferential": entry(-0.083, 0.02)}}
    assert compare_sentence(paired, "grpo-base", "inferential") == (
        "GRPO answers inferential questions worse than the base model: "
        "−8.3 points (95 % interval −10.3 to −6.3, 300 questions)."
    )


def test_no_difference_says_what_would_settle_it() -> None:
    paired = {"cdpo-grpo": {"inferential": NOTHING}}
    assert compare_sentence(paired, "cdpo-grpo", "inferential") == (
        "No difference between CDPO and GRPO on inferential questions could be shown: +1.0 points "
        "(95 % interval −4.0 to +6.0, 300 questions); about 12,000 questions would settle one of "
        "this size."
    )


def test_models_that_are_equal_on_average_need_no_number_of_questions() -> None:
    sentence = compare_sentence({"cdpo-grpo": {"all": entry(0.0)}}, "cdpo-grpo", "all")
    assert "0.0 points" in sentence
    assert "settle" not in sentence


def test_models_that_are_equal_on_every_question_are_said_to_be() -> None:
    same = entry(0.0, num_changed=0)
    assert compare_sentence({"cdpo-grpo": {"all": same}}, "cdpo-grpo", "all") == (
        "CDPO and GRPO score the same on each of the 300 all questions; "
        "a difference of 5.0 points cannot be excluded."
    )


def test_interval_and_p_value_that_disagree_are_at_the_edge() -> None:
    inside = entry(0.04, 0.05, p_value=0.03)
    assert judge(EDGE) == judge(inside) == "edge"
    sentence = compare_sentence({"cdpo-grpo": {"all": EDGE}}, "cdpo-grpo", "all")
    assert sentence.startswith("CDPO seems better than GRPO on all questions, at the edge")
    assert sentence.endswith("p = 0.07.")


def test_too_few_questions_are_not_judged_however_large_the_difference() -> None:
    sentence = compare_sentence({"cdpo-grpo": {"all": entry(1.0, 0.0, n=29)}}, "cdpo-grpo", "all")
    assert sentence == (
        "Only 29 all questions were asked: too few to compare CDPO with GRPO (at least 30 are "
        "needed)."
    )


def test_too_few_questions_are_said_once_per_type(document_of: Callable[..., Any]) -> None:
    found = find(document_of(num_clips=5))
    assert found.verdict == "not tested"
    told = [found.decisive, *found.details]
    for kind in ("inferential", "observational"):
        assert sum(f"Only 10 {kind} questions" in sentence for sentence in told) == 1


def test_a_type_that_was_not_asked_is_said_to_be_missing() -> None:
    assert "No inferential questions were asked" in compare_sentence({}, "cdpo-grpo", "inferential")


def test_variants_are_called_by_their_name() -> None:
    paired = {"cdpo-hinge-grpo": {"inferential": entry(0.12, 0.07)}}
    sentence = compare_sentence(paired, "cdpo-hinge-grpo", "inferential")
    assert sentence.startswith(
        "The variant cdpo-hinge answers inferential questions better than GRPO"
    )


def test_a_typical_outcome_is_told_in_full(document_of: Callable[..., dict[str, Any]]) -> None:
    document = document_of(num_clips=150)
    found = document["findings"]
    assert found["verdict"] == "supported"
    assert found["decisive"].startswith("CDPO answers inferential questions better than GRPO: +")
    text = " ".join(found["details"])
    assert "GRPO answers inferential questions worse than the base model" in text
    assert "Share of reasoning completions on inferential questions: base model 48%" in text
    assert "First-order analysis expects GRPO to drift towards" in text
    assert any("One seed" in caveat for caveat in found["caveats"])


def test_models_that_show_no_strategy_are_reported_so(
    rows_of: Callable[..., Any], document_of: Callable[..., dict[str, Any]]
) -> None:
    document = document_of(num_clips=20)
    document["strategies"]["base"] = {}
    document["phase"] = None
    assert (
        "The base model's completions show neither of the two strategies." in find(document).details
    )


def test_quick_runs_and_errors_are_caveats(document_of: Callable[..., dict[str, Any]]) -> None:
    document = document_of(is_quick=True, num_clips=20)
    document["models"]["grpo"]["all"]["num_errors"] = 3
    caveats = find(document).caveats
    assert caveats[0].startswith("A quick run")
    assert caveats[-1] == "Questions that ended in an error and count as wrong: grpo 3."


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0.0"), (-0.0001, "0.0"), (0.0004, "0.0"), (0.1, "+10.0"), (-0.056, "−5.6")],
)
def test_points_carry_their_sign(fraction: float, text: str) -> None:
    assert format_points(fraction) == text
