"""Pairs of runs: the same questions or none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.evals.conftest import WRONG, make_row
from vtk.cli.app import main
from vtk.cli.compare import _graded
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.errors import ConfigError, DataError
from vtk.evals.compare import (
    GradedRun,
    choose_suite,
    compare_runs,
    load_graded_run,
    require_protocol,
    split_reference,
)
from vtk.evals.folder import SETTINGS_FILE
from vtk.evals.published import published_numbers
from vtk.evals.record import EvalRow, SampleLog
from vtk.evals.report import report_numbers
from vtk.runs.files import write_json_atomic
from vtk.runs.results import RESULTS_FILE
from vtk.runs.store import RunPaths, create_run

SUITE = "clevrer-mini"


def answers(*right: bool, **changes: Any) -> list[EvalRow]:
    """Six questions about three clips; the first three observational, the others inferential."""
    return [
        make_row(
            f"q{index}",
            **{
                "clip_id": f"clip{index // 2}",
                "label": "observational" if index < 3 else "inferential",
                **({} if is_right else WRONG),
                **changes,
            },
        )
        for index, is_right in enumerate(right)
    ]


def graded(name: str, rows: list[EvalRow], **settings: Any) -> GradedRun:
    questions: dict[str, list[EvalRow]] = {}
    for row in rows:
        questions.setdefault(row.sample_id, []).append(row)
    return GradedRun(name, questions, True, {"ask": settings}, {"optim": {"num_steps": len(name)}})


BASE = answers(True, True, False, False, False, True)
BETTER = answers(True, True, True, True, False, True)


def test_differences_are_paired_by_type() -> None:
    document = compare_runs(SUITE, [graded("base", BASE, seed=1), graded("next", BETTER, seed=2)])
    strict = document["differences"][0]["strict"]
    found = {name: (part["n"], part["difference"]) for name, part in strict.items()}
    assert found == {
        "all": (6, pytest.approx(2 / 6)),
        "observational": (3, pytest.approx(1 / 3)),
        "inferential": (3, pytest.approx(1 / 3)),
        "single": (6, pytest.approx(2 / 6)),
    }
    assert (strict["all"]["num_better"], strict["all"]["num_worse"]) == (2, 0)
    # Only the clip of q2 and q3 differs: flipping its sign is as extreme, always.
    assert strict["all"]["p_value"] == 1.0
    assert document["runs"][0]["strict"]["all"]["accuracy"] == 0.5
    assert document["settings_differ"] == {"ask.seed": {"base": 1, "next": 2}}
    assert document["config_differs"] == {}
    assert (document["num_questions"], document["num_clips"]) == (6, 3)


def test_every_run_is_compared_with_the_first() -> None:
    runs = [graded("base", BASE), graded("x", BETTER), graded("y", BASE)]
    document = compare_runs(SUITE, runs)
    pairs = [(entry["run"], entry["minus"]) for entry in document["differences"]]
    assert pairs == [("x", "base"), ("y", "base")]
    assert document["differences"][1]["strict"]["all"]["difference"] == 0.0
    assert document["config_differs"]["optim.num_steps"] == {"base": 4, "x": 1, "y": 1}


def test_an_evaluation_is_not_compared_by_settings_of_training() -> None:
    base = replace(graded("base", BASE), config={})
    assert compare_runs(SUITE, [base, graded("x", BETTER)])["config_differs"] == {}


def test_what_was_trained_is_read_and_what_was_only_asked_is_not(tmp_path: Path) -> None:
    config = {"optim": {"num_steps": 3}, "eval": {"temperature": 0.0}}
    read = {}
    for stage in ("cdpo", "eval"):
        run = create_run(tmp_path, stage, stage, config=config)
        with SampleLog(run.eval_dir(SUITE)) as log:
            log.append(BASE[0])
        read[stage] = load_graded_run(run, SUITE).config
    assert read == {"cdpo": {"optim": {"num_steps": 3}}, "eval": {}}


def test_different_questions_are_refused_unless_only_common_ones_are_asked_for() -> None:
    runs = [graded("base", BASE), graded("next", BETTER[:4])]
    with pytest.raises(ConfigError, match="base 6, next 4; 4 in common") as told:
        compare_runs(SUITE, runs)
    assert told.value.hint is not None
    assert "--common" in told.value.hint
    document = compare_runs(SUITE, runs, only_common=True)
    assert document["num_questions"] == 4
    assert document["runs"][0]["strict"]["all"] == {
        **document["runs"][0]["strict"]["all"],
        "n": 4,
        "accuracy": 0.5,
    }


def test_no_common_question_cannot_be_compared() -> None:
    strangers = [graded("a", [make_row("x")]), graded("b", [make_row("y")])]
    with pytest.raises(ConfigError, match="share no question"):
        compare_runs(SUITE, strangers, only_common=True)


def test_the_same_id_with_other_words_is_another_question() -> None:
    changed = [*BETTER[:5], make_row("q5", clip_id="clip2", label="inferential", solution="B")]
    with pytest.raises(DataError, match="q5 was not the same"):
        compare_runs(SUITE, [graded("base", BASE), graded("next", changed)])


@pytest.mark.parametrize("names", [["base"], ["base", "base"]])
def test_one_run_is_no_comparison(names: list[str]) -> None:
    with pytest.raises(ConfigError):
        compare_runs(SUITE, [graded(name, BASE) for name in names])


def test_unknown_protocol_is_named() -> None:
    document = {"headline": "strict", "differences": [{"run": "b", "strict": {}, "partial": {}}]}
    assert require_protocol(document, "partial") == "partial"
    assert require_protocol(document, None) == "strict"
    with pytest.raises(ConfigError, match="soft"):
        require_protocol(document, "soft")


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    return create_run(tmp_path, "grpo", "base", config={"seed": 3})


def test_a_run_is_read_from_its_directory(run: RunPaths) -> None:
    folder = run.eval_dir(SUITE)
    with SampleLog(folder) as log:
        for row in BASE:
            log.append(row)
    (folder / "settings.json").write_text(json.dumps({"settings": {"ask": {"seed": 1}}}))
    (folder / "results.json").write_text(json.dumps({"complete": True}))
    found = load_graded_run(run, SUITE)
    assert (found.name, found.is_complete, found.config) == ("base", True, {"seed": 3})
    assert found.settings == {"ask": {"seed": 1}}
    assert [draws[0] for draws in found.questions.values()] == BASE
    assert choose_suite([run, run], None) == SUITE
    with (folder / "samples.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(DataError, match="1 unreadable"):
        load_graded_run(run, SUITE)
    results = {"complete": True, "num_completions": len(BASE)}
    (folder / "results.json").write_text(json.dumps(results))
    assert len(load_graded_run(run, SUITE).questions) == len(BASE), "nothing is missing"


def test_a_run_without_results_says_how_to_get_them(run: RunPaths) -> None:
    with pytest.raises(DataError, match="no results") as told:
        load_graded_run(run, SUITE)
    assert told.value.hint is not None
    assert "vtk eval clevrer-mini --model base" in told.value.hint
    with pytest.raises(DataError, match="no suite was answered"):
        choose_suite([run], None)


def test_several_shared_suites_need_a_choice(run: RunPaths) -> None:
    for suite in (SUITE, "clevrer"):
        with SampleLog(run.eval_dir(suite)):
            pass
    with pytest.raises(ConfigError, match="clevrer, clevrer-mini"):
        choose_suite([run], None)
    assert choose_suite([run], "clevrer") == "clevrer"


def test_report_numbers_have_the_documented_keys() -> None:
    numbers = report_numbers({"base": BASE, "cdpo": BETTER})
    strict = numbers["models"]["cdpo"]["inferential"]
    assert (strict["n"], strict["strict"]) == (3, pytest.approx(2 / 3))
    assert set(strict) >= {"n", "strict", "per_option", "ci95"}
    assert numbers["paired"]["cdpo-base"]["all"]["difference"] == pytest.approx(2 / 6)
    assert numbers["strategies"]["base"]["all"]["describe"]["n"] == 6


def test_a_report_on_different_questions_is_refused() -> None:
    with pytest.raises(DataError, match="6 and 5"):
        report_numbers({"base": BASE[:5], "cdpo": BETTER})


def test_published_numbers_are_those_of_the_suite_and_marked() -> None:
    found = [n for n in published_numbers("mvbench-recipe.16-frames") if "main table" in n.source]
    assert {n.model: n.accuracy for n in found} == {
        "Video-UTR-7B": 0.588,
        "Qwen2.5-VL-3B (CoT)": 0.496,
        "VideoRFT-3B": 0.595,
        "Qwen2.5-VL-3B GRPO": 0.549,
        "VideoThinker-R1-3B": 0.609,
    }
    assert {n.suite for n in found} == {"mvbench"}
    assert published_numbers("clevrer-mini") == []


@pytest.mark.parametrize("suite", [*BENCHMARKS, "clevrer"])
def test_every_published_number_says_how_it_was_asked_and_where_it_is_from(suite: str) -> None:
    found = published_numbers(suite)
    assert len([n for n in found if "main table" in n.source]) >= 4
    for number in found:
        assert 0.0 < number.accuracy < 1.0
        assert number.protocol in {"recipe", "official", "strict", "partial", "per_option"}
        assert all((number.model, number.asked, number.source, number.type))
    places = [(n.type, n.protocol, n.model, n.asked, n.source) for n in found]
    assert len(set(places)) == len(places)


def test_metrics_of_clevrer_are_not_mixed() -> None:
    found = {
        number.protocol: number.accuracy
        for number in published_numbers("clevrer")
        if number.model == "Qwen2.5-VL-3B" and "CausalSight" in number.source
    }
    assert found == {"per_option": 0.712, "strict": 0.316}


def test_two_sets_of_answers_of_one_run_are_compared(tmp_path: Path) -> None:
    run = create_run(tmp_path, "cdpo", "mine")
    for name, rows in ((SUITE, BASE), (f"{SUITE}.more", BETTER)):
        with SampleLog(run.eval_dir(name)) as log:
            for row in rows:
                log.append(row)
    graded = _graded([f"mine:{SUITE}", f"mine:{SUITE}.more"], tmp_path, None, is_page=False)
    assert [one.name for one in graded[SUITE]] == [f"mine:{SUITE}", f"mine:{SUITE}.more"]
    document = compare_runs(SUITE, graded[SUITE])
    assert document["differences"][0]["strict"]["all"]["difference"] == pytest.approx(2 / 6)
    assert list(_graded(["mine", "mine"], tmp_path, "all", is_page=False)) == [
        SUITE,
        f"{SUITE}.more",
    ]


def write_results(run: RunPaths, name: str, rows: list[EvalRow], protocol: str | None) -> None:
    ask = {} if protocol is None else {"protocol": {"name": protocol}}
    with SampleLog(run.eval_dir(name)) as log:
        for row in rows:
            log.append(row)
    settings = {"settings": {"suite": "mvbench", "ask": ask}}
    write_json_atomic(run.eval_dir(name) / SETTINGS_FILE, settings)
    write_json_atomic(run.eval_dir(name) / RESULTS_FILE, {"complete": True})


@pytest.mark.parametrize("options", [[], ["--protocol", "strict"]])
@pytest.mark.parametrize(
    ("first", "second", "types"),
    [
        ("official", "recipe", {"task": "t"}),
        ("recipe", None, {}),
        (None, "recipe", {}),
    ],
)
def test_answers_under_two_protocols_are_compared_by_what_both_have(
    first: str | None,
    second: str | None,
    types: dict[str, str],
    options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = create_run(tmp_path, "eval", "mine")
    for name, rows, protocol in (("a", BASE, first), ("b", BETTER, second)):
        scored: dict[str, Any] = {} if protocol is None else {"score": 0.0, "said": "E"}
        changed = [replace(row, types=types, **scored) for row in rows]
        write_results(run, name, changed, protocol)
    page = tmp_path / "page.html"
    refs = ["mine:a", "mine:b"]
    told = ["--json", "--runs-dir", str(tmp_path), "--html", str(page), *options]
    assert main(["compare", *refs, *told]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["headline"] == "strict"
    for entry in (*document["differences"], *document["runs"]):
        assert {"strict", "lenient"} <= set(entry)
        assert not {"official", "recipe"} & set(entry)
    assert document["differences"][0]["strict"]["all"]["difference"] == pytest.approx(2 / 6)
    assert document["num_differing"] == 2
    assert "asked under different protocols" in said.err
    assert main(["compare", *refs, *told, "--protocol", "recipe"]) == 2


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("mine", ("mine", None)),
        ("mine:mvbench.x", ("mine", "mvbench.x")),
        ("C:/runs/mine", ("C:/runs/mine", None)),
        ("runs/mine:clevrer", ("runs/mine", "clevrer")),
    ],
)
def test_a_reference_may_name_results(ref: str, expected: tuple[str, str | None]) -> None:
    assert split_reference(ref) == expected
