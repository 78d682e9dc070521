"""Runs side by side on the same questions: paired differences, and what their settings differ in.

Two models that answer the same questions share the questions' difficulty, so the difference is
taken question by question and its interval clustered by clip. The first run is the baseline.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vtk.errors import ConfigError, DataError
from vtk.evals.folder import SETTINGS_FILE, differing_keys
from vtk.evals.record import SAMPLES_FILE, EvalRow, read_rows
from vtk.evals.results import (
    estimate_accuracy,
    group_by_question,
    question_score,
    question_types,
    scorings,
)
from vtk.hints import nearest_hint, results_hint
from vtk.runs.files import read_json
from vtk.runs.results import RESULTS_FILE
from vtk.runs.store import RunPaths
from vtk.scoring.stats import Difference, paired_difference, questions_to_resolve

Questions = dict[str, list[EvalRow]]
_COMMON_HINT: Final = "Compare the questions that all runs answered with --common."


@dataclass(frozen=True)
class GradedRun:
    """One run's answers to one suite.

    Attributes:
        name: The run's id.
        questions: Question id -> its graded completions.
        is_complete: Whether every planned question was answered.
        settings: How it was asked, as in settings.json.
        config: What it was trained with; empty for a run that is an evaluation only. How it was
            asked is in `settings`.
    """

    name: str
    questions: Questions
    is_complete: bool
    settings: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def protocol(self) -> str | None:
        """The protocol that it was asked under; None where the one grader alone scores."""
        protocol = self.settings.get("ask", {}).get("protocol") or {}
        name: str | None = protocol.get("name")
        return name


def split_reference(ref: str) -> tuple[str, str | None]:
    """A run as a user names it, and the results of it that are meant: RUN:mvbench.16-frames.

    Returns:
        The run, and the name of the results; None leaves them to be chosen.
    """
    run, colon, results = ref.rpartition(":")
    return (run, results) if run and colon and "/" not in results else (ref, None)


def load_graded_run(run: RunPaths, suite: str, is_named: bool = False) -> GradedRun:
    """Read what a run answered.

    Args:
        run: The run.
        suite: The name of its results.
        is_named: Call it RUN:SUITE, because several results of one run are compared.

    Raises:
        DataError: The run has no results of this suite, or they are damaged.
    """
    folder = run.eval_dir(suite)
    found = read_rows(folder / SAMPLES_FILE)
    if not found.rows:
        raise DataError(
            f"run {run.run_id} has no results of {suite}",
            results_hint(suite, run.run_id, run.root.parent),
        )
    results = _read_json_or_empty(folder / RESULTS_FILE)
    if found.num_unreadable and len(found.rows) < results.get("num_completions", math.inf):
        hint = results_hint(suite, run.run_id, run.root.parent)
        raise DataError(
            f"{folder / SAMPLES_FILE} has {found.num_unreadable} unreadable lines",
            f"With the settings of before their questions are asked again. {hint}",
        )
    return GradedRun(
        name=f"{run.run_id}:{suite}" if is_named else run.run_id,
        questions={draws[0].sample_id: draws for draws in group_by_question(found.rows.values())},
        is_complete=bool(results.get("complete")),
        settings=_read_json_or_empty(folder / SETTINGS_FILE).get("settings", {}),
        config=_training_config(run),
    )


def shared_suites(runs: Sequence[RunPaths]) -> list[str]:
    """The results that all runs have, by name.

    Raises:
        DataError: There are none.
    """
    shared = set.intersection(*(_answered_suites(run) for run in runs))
    if not shared:
        names = ", ".join(run.run_id for run in runs)
        hint = results_hint("SUITE", runs[-1].run_id, runs[-1].root.parent)
        raise DataError(f"no suite was answered by all of {names}", hint)
    return sorted(shared)


def choose_suite(runs: Sequence[RunPaths], wanted: str | None) -> str:
    """The suite to compare: the one asked for, or the only one that all runs answered.

    Raises:
        ConfigError: Several suites are shared and none was asked for.
        DataError: No suite is shared.
    """
    if wanted is not None:
        return wanted
    shared = shared_suites(runs)
    if len(shared) > 1:
        raise ConfigError(
            f"these runs share several suites: {', '.join(shared)}",
            "Choose one with --suite NAME, or --suite all.",
        )
    return shared[0]


def require_protocol(document: Mapping[str, Any], name: str | None) -> str:
    """The name of an accuracy that a comparison holds; its headline when None was asked for.

    Raises:
        ConfigError: It holds no such accuracy.
    """
    known = [key for key in document["differences"][0] if key not in ("run", "minus")]
    if name is not None and name not in known:
        raise ConfigError(f"there is no protocol {name!r}", nearest_hint(name, known, "Protocols"))
    return name or str(document["headline"])


def shared_protocol(runs: Sequence[GradedRun]) -> str | None:
    """The protocol that all runs were asked under; None where they differ or have none.

    Scores by two protocols' rules are not on one scale; what the one grader reads in both is.
    """
    first, *others = [run.protocol for run in runs]
    return first if all(other == first for other in others) else None


def compare_runs(
    suite: str, runs: Sequence[GradedRun], only_common: bool = False
) -> dict[str, Any]:
    """Compare every run with the first.

    Args:
        suite: The suite's name, copied into the document.
        runs: At least two.
        only_common: Compare the questions that all runs answered, where they differ.

    Returns:
        A document: per run its accuracy by protocol and type, per pair the paired difference with
        interval, p-value and the number of questions that would resolve it, and the settings and
        configuration keys on which the runs differ. Runs that were asked under different protocols
        have no score by a protocol in it.

    Raises:
        ConfigError: Fewer than two runs, one named twice, or different questions answered.
        DataError: A question's words or solution differ between runs.
    """
    if len(runs) < 2:
        raise ConfigError("a comparison needs two runs", "Name two: vtk compare RUN RUN")
    if len({run.name for run in runs}) < len(runs):
        raise ConfigError("a run was named twice", "Name each run once.")
    ids = _shared_questions(runs, only_common)
    first = [runs[0].questions[sample_id] for sample_id in ids]
    configs = [run.config for run in runs]
    others = [(run, [run.questions[sample_id] for sample_id in ids]) for run in runs[1:]]
    protocol = shared_protocol(runs)
    return {
        "suite": suite,
        "headline": protocol or "strict",
        "baseline": runs[0].name,
        "num_questions": len(ids),
        "num_clips": len({draws[0].clip_id for draws in first}),
        "only_common": only_common,
        "runs": [
            {"run": run.name, "complete": run.is_complete, **_accuracies(run, ids, protocol)}
            for run in runs
        ],
        "differences": [
            {
                "run": run.name,
                "minus": runs[0].name,
                **difference_by_type(first, second, protocol),
            }
            for run, second in others
        ],
        "settings_differ": _differing(runs, [run.settings for run in runs]),
        "config_differs": _differing(runs, configs) if all(configs) else {},
    }


def difference_by_type(
    first: Sequence[list[EvalRow]], second: Sequence[list[EvalRow]], protocol: str | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Paired difference, second minus first, by protocol and question type.

    Args:
        first: The graded completions of each question.
        second: Another model's, of the same questions in the same order.
        protocol: The name of the protocol that both were asked under, if there is one.

    Returns:
        protocol -> type -> {n, difference, ci95, p_value, num_better, num_worse,
        questions_to_resolve}; types without questions are left out.
    """
    pairs = list(zip(first, second, strict=True))
    rows = [draws[0] for draws in first]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, (score, counts) in scorings(rows, protocol).items():
        found[name] = {}
        for kind, belongs in question_types(rows).items():
            asked = [(a, b) for a, b in pairs if belongs(a[0])]
            chosen = [(a, b) for a, b in asked if all(counts(row) for row in (*a, *b))]
            if chosen:
                found[name][kind] = _difference(chosen, score)
    return found


def _difference(
    pairs: Sequence[tuple[list[EvalRow], list[EvalRow]]], protocol: str
) -> dict[str, Any]:
    measured: Difference = paired_difference(
        [question_score(a, protocol) for a, _ in pairs],
        [question_score(b, protocol) for _, b in pairs],
        [a[0].clip_id for a, _ in pairs],
    )
    return {
        "n": measured.estimate.num,
        "difference": measured.estimate.mean,
        "ci95": [measured.estimate.low, measured.estimate.high],
        "p_value": measured.p_value,
        "num_better": measured.num_better,
        "num_worse": measured.num_worse,
        "questions_to_resolve": questions_to_resolve(measured),
    }


def _shared_questions(runs: Sequence[GradedRun], only_common: bool) -> list[str]:
    """Ids of the questions to compare, in the first run's order."""
    common = set.intersection(*(set(run.questions) for run in runs))
    ids = [sample_id for sample_id in runs[0].questions if sample_id in common]
    if not only_common and any(len(run.questions) != len(common) for run in runs):
        counts = ", ".join(f"{run.name} {len(run.questions)}" for run in runs)
        raise ConfigError(
            f"the runs answered different questions ({counts}; {len(common)} in common)",
            _COMMON_HINT if common else "They share no question.",
        )
    if not ids:
        raise ConfigError("the runs share no question", "Evaluate them on the same suite and part.")
    for sample_id in ids:
        asked = {_words(run.questions[sample_id][0]) for run in runs}
        if len(asked) > 1:
            raise DataError(
                f"question {sample_id} was not the same in all runs",
                "The data were made or split again in between; evaluate the runs again.",
            )
    return ids


def _words(row: EvalRow) -> tuple[str | None, ...]:
    return row.problem, row.solution, row.clip_id, row.label


def _accuracies(
    run: GradedRun, ids: Sequence[str], protocol: str | None
) -> dict[str, dict[str, dict[str, Any]]]:
    rows = [run.questions[i][0] for i in ids]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, (score, counts) in scorings(rows, protocol).items():
        found[name] = {}
        for kind, belongs in question_types(rows).items():
            asked = [run.questions[row.sample_id] for row in rows if belongs(row)]
            chosen = [draws for draws in asked if all(counts(row) for row in draws)]
            estimate = estimate_accuracy(chosen, score)
            if estimate is not None:
                interval = [estimate.low, estimate.high]
                found[name][kind] = {
                    "n": len(chosen),
                    "accuracy": estimate.mean,
                    "ci95": interval,
                    "num_errors": sum(any(row.error for row in draws) for draws in chosen),
                }
    return found


def _differing(
    runs: Sequence[GradedRun], trees: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Dotted key -> run -> value, for the keys that are not the same in all runs."""
    names = [run.name for run in runs]
    return {
        key: dict(zip(names, values, strict=True)) for key, values in differing_keys(trees).items()
    }


def _training_config(run: RunPaths) -> dict[str, Any]:
    if _read_json_or_empty(run.run_json).get("stage") == "eval":
        return {}
    config: dict[str, Any] = _read_json_or_empty(run.config_json).get("config", {})
    return {section: values for section, values in config.items() if section != "eval"}


def _answered_suites(run: RunPaths) -> set[str]:
    folder = run.eval_dir("any").parent
    if not folder.is_dir():
        return set()
    return {entry.name for entry in folder.iterdir() if (entry / SAMPLES_FILE).is_file()}


def _read_json_or_empty(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
