"""Rows to numbers, counted by hand."""

import json
import random

import pytest

from tests.unit.evals.conftest import FAILED, WRONG, make_row
from vtk.evals.results import (
    PROTOCOLS,
    build_results,
    event_per_type,
    summarise,
    summarise_strategies,
)
from vtk.scoring.stats import clustered_mean

HALF = {"strict": 0.0, "partial": 0.5, "per_option": 0.75, "lenient": 0.0, "parsed": "A"}
MULTI = {"num_correct": 2, "num_options": 4, "solution": "A,C", "label": "inferential"}
ROWS = [
    make_row("q0", clip_id="a"),
    make_row("q1", clip_id="a", **WRONG),
    make_row("q2", clip_id="b", **MULTI, **HALF),
    make_row("q3", clip_id="b", **MULTI, **FAILED),
    make_row("q4", clip_id="c", label=None),
    make_row("q5", clip_id="c", **WRONG | {"parsed": None, "status": "missing", "lenient": 1.0}),
]
PLAN = [row.key for row in ROWS]


def test_accuracy_by_type_and_protocol() -> None:
    found = summarise(ROWS)
    strict = {name: (part["n"], part["accuracy"]) for name, part in found["strict"].items()}
    assert strict == {
        "all": (6, pytest.approx(2 / 6)),
        "observational": (3, pytest.approx(1 / 3)),
        "inferential": (2, 0.0),
        "single": (4, 0.5),
        "multi": (2, 0.0),
    }
    assert found["partial"]["all"]["accuracy"] == pytest.approx(2.5 / 6)
    assert found["per_option"]["multi"]["accuracy"] == pytest.approx(0.75 / 2)
    assert found["lenient"]["all"]["accuracy"] == pytest.approx(3 / 6)
    assert {part["num_errors"] for part in found["strict"].values()} == {0, 1}
    assert found["strict"]["multi"]["num_errors"] == 1


def test_intervals_are_clustered_by_clip() -> None:
    interval = summarise(ROWS)["strict"]["all"]["ci95"]
    estimate = clustered_mean([1, 0, 0, 0, 1, 0], ["a", "a", "b", "b", "c", "c"])
    assert interval == [estimate.low, estimate.high]


def test_a_question_counts_once_however_often_it_was_asked() -> None:
    rows = [make_row("q0"), make_row("q0", draw=1, **WRONG), make_row("q1", clip_id="b")]
    found = summarise(rows)["strict"]["all"]
    assert (found["n"], found["accuracy"]) == (2, 0.75)


def test_a_type_without_questions_says_so() -> None:
    found = summarise([make_row("q0")])["strict"]["inferential"]
    assert (found["n"], found["accuracy"], found["ci95"]) == (0, None, None)
    assert summarise([])["strict"]["all"]["n"] == 0


def test_the_document_counts_every_answer_once() -> None:
    document = build_results("s", {row.key: row for row in ROWS}, PLAN, {"settings_hash": "ab"})
    assert document["outcomes"] == {"correct": 2, "wrong": 2, "unparsable": 1, "error": 1}
    assert document["errors"] == {"decode": 1}
    assert document["statuses"] == {"error": 1, "missing": 1, "ok": 4}
    assert (document["complete"], document["num_questions"], document["num_missing"]) == (
        True,
        6,
        0,
    )
    assert document["settings_hash"] == "ab"
    assert set(PROTOCOLS) < set(document)


def test_missing_answers_are_counted_and_rows_beyond_the_plan_are_not() -> None:
    rows = {row.key: row for row in (*ROWS[:4], make_row("stray"))}
    document = build_results("s", rows, PLAN, {})
    assert (document["complete"], document["num_missing"]) == (False, 2)
    assert document["strict"]["all"]["n"] == 4


def test_order_of_arrival_leaves_no_trace() -> None:
    shuffled = ROWS.copy()
    random.Random(1).shuffle(shuffled)
    assert shuffled != ROWS
    documents = [
        json.dumps(build_results("s", {row.key: row for row in rows}, PLAN, {}))
        for rows in (ROWS, shuffled)
    ]
    assert documents[0] == documents[1]


def test_event_payload_holds_the_types_that_were_asked() -> None:
    payload = event_per_type(summarise([make_row("q0")]))
    assert set(payload) == {"all", "observational", "single"}
    assert set(payload["all"]) == {"n", "accuracy", "ci95"}


def test_strategies_by_type() -> None:
    rows = [
        make_row("q0"),
        make_row("q1", **WRONG),
        make_row("q2", strategy="reason"),
        make_row("q3", strategy=None, **WRONG),
        make_row("q4", label="inferential", strategy="reason"),
        make_row("q5", **FAILED),
    ]
    found = summarise_strategies(rows)
    assert found["observational"] == {
        "describe": {"n": 2, "share": 0.5, "accuracy": 0.5},
        "reason": {"n": 1, "share": 0.25, "accuracy": 1.0},
        "neither": {"n": 1, "share": 0.25, "accuracy": 0.0},
    }
    assert found["inferential"]["reason"] == {"n": 1, "share": 1.0, "accuracy": 1.0}
    assert found["inferential"]["describe"] == {"n": 0, "share": 0.0, "accuracy": None}


def test_suites_without_strategies_report_none() -> None:
    assert summarise_strategies([make_row("q0", strategy=None)]) == {}
