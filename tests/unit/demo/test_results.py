"""The numbers of a demo: shares, pairs and the base model's place in the phase diagram."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from vtk.demo.phase import drift
from vtk.demo.results import MAIN_PAIRS, base_point, measure, pairs_of, split_pair
from vtk.errors import DataError
from vtk.evals.record import EvalRow

Rows = dict[str, list[EvalRow]]


def test_document_holds_what_scripts_rely_on(document_of: Callable[..., dict[str, Any]]) -> None:
    document = document_of(num_clips=20)
    assert set(document["models"]) == {"base", "bias", "grpo", "cdpo"}
    for found in document["models"].values():
        for kind in ("observational", "inferential", "all"):
            assert {"n", "strict", "per_option", "ci95"} <= set(found[kind])
    assert found["all"]["n"] == found["observational"]["n"] + found["inferential"]["n"] == 80
    assert set(document["paired"]) == set(MAIN_PAIRS)


def test_reasoning_shares_are_counted_over_questions(rows_of: Callable[..., Rows]) -> None:
    rows = rows_of(num_clips=15)
    document = measure(rows, 0.74, {"cdpo": -0.01})
    asked = [row for row in rows["cdpo"] if row.label == "inferential"]
    share = sum(row.strategy == "reason" for row in asked) / len(asked)
    found = document["reasoning"]["models"]["cdpo"]["inferential"]
    assert found["share"] == pytest.approx(share)
    assert found["n"] == len(asked) / 2
    assert found["ci95"][0] < share < found["ci95"][1]
    changed = document["reasoning"]["paired"]["cdpo-base"]["inferential"]["difference"]
    base = document["reasoning"]["models"]["base"]["inferential"]["share"]
    assert changed == pytest.approx(share - base)


def test_expected_drift_is_that_of_the_base_model_on_the_training_mixture(
    document_of: Callable[..., dict[str, Any]],
) -> None:
    document = document_of(num_clips=20)
    point = base_point(document)
    assert point is not None
    shares = document["reasoning"]["models"]["base"]
    mixed = 0.74 * shares["observational"]["share"] + 0.26 * shares["inferential"]["share"]
    assert point.reason_share == pytest.approx(mixed)
    told = document["strategies"]["base"]["inferential"]["describe"]["accuracy"]
    assert point.describe.inferential == told
    expected = document["phase"]["expected_drift"]
    assert expected["grpo"] == pytest.approx(drift(point))
    pushed = 0.01 * (point.reason_share - point.bias_reason_share)
    assert expected["cdpo"] == pytest.approx(expected["grpo"] + pushed)


def test_a_base_model_without_strategies_has_no_place_in_the_diagram(
    rows_of: Callable[..., Rows],
) -> None:
    rows = rows_of(num_clips=5)
    rows["base"] = [replace(row, strategy=None) for row in rows["base"]]
    document = measure(rows, 0.74, {})
    assert document["phase"] is None
    assert base_point(document) is None


def test_variants_are_compared_with_grpo_and_base(rows_of: Callable[..., Rows]) -> None:
    assert pairs_of(["base", "bias", "grpo", "cdpo", "cdpo-npo"]) == [
        *MAIN_PAIRS,
        "cdpo-npo-grpo",
        "cdpo-npo-base",
    ]
    assert split_pair("cdpo-npo-grpo") == ("grpo", "cdpo-npo")


def test_models_of_different_questions_are_refused(rows_of: Callable[..., Rows]) -> None:
    rows = rows_of(num_clips=4)
    rows["grpo"] = rows["grpo"][:-2]
    with pytest.raises(DataError, match="different questions"):
        measure(rows, 0.74, {})
