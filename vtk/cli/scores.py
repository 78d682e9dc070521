"""Accuracies and differences as tables, and the running accuracy of an evaluation."""

import time
from typing import TYPE_CHECKING, Any, Final

from vtk.cli.console import Console
from vtk.cli.progress import Progress
from vtk.format import (
    MISSING,
    format_count,
    format_duration_s,
    format_interval,
    format_number,
    format_percent,
    visible_text,
)

if TYPE_CHECKING:
    from vtk.evals.record import EvalRow, ReadRows

_NOTE_EVERY_S: Final = 1.0
_READINGS: Final = {
    "strict": "strict",
    "partial": "partial",
    "per_option": "per option",
    "lenient": "lenient",
}
_PROTOCOL_KEY: Final = "ask.protocol.name"
_PROMPTS_KEY: Final = "ask.protocol.forms."  # long; their hash is shown
_WEIGHTS_KEY: Final = "model.weights_sha256"  # two models differ in it, always; the JSON has it


class Tracker:
    """Running accuracy, speed and errors of one suite, and the time left for all.

    Args:
        console: The command's console.
        progress: Where answers are counted.
        score: The accuracy that is shown.
        num_later: Answers that later suites will need.
    """

    def __init__(
        self, console: Console, progress: Progress, score: str = "strict", num_later: int = 0
    ) -> None:
        self.console = console
        self.progress = progress
        self.score = score
        self.num_later = num_later
        self.num_to_ask = 0
        self.rows: list[EvalRow] = []
        self.num_new = 0
        self.started_s = self.noted_s = time.monotonic()

    def start(self, kept: "ReadRows", num_rows: int) -> None:
        """Take in what earlier attempts left."""
        self.rows = list(kept.rows.values())
        self.num_to_ask = max(0, num_rows - len(self.rows))
        self.progress.update(total=self.num_to_ask)
        if self.rows:
            self.console.note(f"Kept {len(self.rows)} of {num_rows} answers of earlier attempts")
        if kept.num_unreadable:
            self.console.warn(
                f"lines of samples.jsonl that cannot be read: {kept.num_unreadable}; they stay as "
                "evidence, and what they held is asked again unless it has been"
            )
        self.started_s = time.monotonic()

    def add(self, row: "EvalRow") -> None:
        """Take in one answer."""
        self.rows.append(row)
        self.num_new += 1
        now_s = time.monotonic()
        is_due = now_s - self.noted_s >= _NOTE_EVERY_S or self.num_new == 1
        self.progress.update(done=self.num_new, note=self._note(now_s) if is_due else None)
        if is_due:
            self.noted_s = now_s

    def _note(self, now_s: float) -> str:
        from vtk.evals.results import estimate_accuracy, group_by_question

        scored = [row for row in self.rows if not row.awaits_judge]
        estimate = estimate_accuracy(group_by_question(scored), self.score)
        num_errors = sum(row.error is not None for row in self.rows)
        rate = self.num_new / max(now_s - self.started_s, 1e-9)
        accuracy = "nothing scored yet"
        if estimate is not None:
            interval = format_interval(estimate.low, estimate.high)
            accuracy = f"{self.score} {format_percent(estimate.mean)} {interval}"
        shown = f"{accuracy}, {num_errors} errors, {format_number(rate, 2)} answers/s"
        if not self.num_later:
            return shown
        left_s = (self.num_to_ask - self.num_new + self.num_later) / rate
        return f"{shown}, all suites in about {format_duration_s(left_s)}"


def show_results(console: Console, results: dict[str, Any]) -> None:
    """Print the results of one suite under one protocol for people."""
    headline = results["headline"]
    others = [key for key in _READINGS if key in results and key != headline]
    rows = []
    for name, found in results[headline].items():
        if found["n"]:
            scores = [_accuracy(results[key][name]["accuracy"]) for key in others]
            shown = [format_percent(found["accuracy"]), format_interval(*found["ci95"]), *scores]
            rows.append([name, found["n"], *shown, found["num_errors"]])
    names = [_READINGS[key] for key in others]
    columns = ["type", "n", _READINGS.get(headline, headline), "95 % by clip", *names, "errors"]
    console.table(columns, rows, _title(results))
    _show_circumstances(console, results)
    _show_judge(console, results)
    outcomes = ", ".join(f"{count} {name}" for name, count in results["outcomes"].items())
    console.say(f"Answers: {outcomes}; format right in {format_percent(results['format'])}")
    for kind, count in results["errors"].items():
        console.warn(
            f"{count} answers failed ({kind}) and count as wrong; samples.jsonl "
            "names them; after mending, ask them again with --retry-errors"
        )
    _show_strategies(console, results["strategies"])


def _title(results: dict[str, Any]) -> str:
    questions = f"{format_count(results['num_questions'])} questions"
    is_named = results["headline"] == results["protocol"]
    protocol = f" by the {results['protocol']} protocol" if is_named else ""
    return f"{results['label']}{protocol}: {questions}"


def _show_circumstances(console: Console, results: dict[str, Any]) -> None:
    """What the numbers depend on: visual tokens, changes of the protocol, what is left out."""
    frames = results["settings"]["ask"]["frames"]
    if results["mean_video_tokens"] is not None:
        rate = f"{frames['fps']:g} frames/s, at most " if frames["fps"] else ""
        console.say(
            f"Shown: {rate}{frames['num_frames']} frames of at most "
            f"{format_count(frames['max_pixels_px'])} px, "
            f"{format_number(results['mean_video_tokens'], 4)} visual tokens in the mean"
        )
    if results["deviations"]:
        changes = "; ".join(results["deviations"])
        console.warn(f"not as the {results['protocol']} protocol has it: {changes}")
    for reason, count in results["not_asked"].items():
        console.note(f"Not asked and not scored: {format_count(count)} ({reason})")


def _show_judge(console: Console, results: dict[str, Any]) -> None:
    """Who judged, whether the pooled number contains it, and what stays without a score."""
    judge = results.get("judge")
    if judge is None:
        return
    name, kinds = visible_text(judge["model"]), ", ".join(judge["kinds"])
    pooled = "with them" if judge["is_in_all"] else "without them"
    console.say(
        f"Judged by {name} (prompt {judge['prompt_sha256'][:12]}): "
        f"{format_count(judge['num_judged'])} answers ({kinds}); the type all is {pooled}"
    )
    if judge["num_unreadable"]:
        console.warn(
            f"{judge['num_unreadable']} of the judge's replies name no option; by the authors' "
            "rule their answers are wrong"
        )
    if judge["num_not_scored"]:
        for why, count in judge["faults"].items():
            console.warn(f"the judge gave no judgement on {count} answers: {visible_text(why)}")
        if judge["ended_by"] is not None:
            console.warn(f"{visible_text(judge['ended_by'])}. {judge['hint'] or ''}".strip())
        console.warn(
            f"{judge['num_not_scored']} answers are not scored (not wrong either): repeat the "
            "command to have them judged; the model is not asked again"
        )


def _show_strategies(console: Console, strategies: dict[str, Any]) -> None:
    rows = [
        [name, strategy, found["n"], format_percent(found["share"]), _accuracy(found["accuracy"])]
        for name in ("observational", "inferential")
        for strategy, found in strategies.get(name, {}).items()
    ]
    if rows:
        console.table(["type", "strategy", "n", "share", "strict"], rows)


def _accuracy(value: float | None) -> str:
    return MISSING if value is None else format_percent(value)


def show_comparison(console: Console, document: dict[str, Any], protocol: str) -> None:
    """Print every run's difference from the baseline, and what the runs differ in."""
    accuracies = {run["run"]: run[protocol] for run in document["runs"]}
    baseline = document["baseline"]
    for entry in document["differences"]:
        name = entry["run"]
        rows = [
            [
                question_type,
                found["n"],
                format_percent(accuracies[baseline][question_type]["accuracy"]),
                format_percent(accuracies[name][question_type]["accuracy"]),
                f"{100 * found['difference']:+.1f}",
                " to ".join(f"{100 * end:+.1f}" for end in found["ci95"]),
                format_number(found["p_value"], 2),
                f"{found['num_better']}/{found['num_worse']}",
            ]
            for question_type, found in entry[protocol].items()
        ]
        columns = [
            "type",
            "n",
            "baseline",
            "run",
            "points",
            "95 % by clip",
            "p",
            "up/down",
        ]
        console.table(columns, rows, f"{name} against {baseline}, {document['suite']}, {protocol}")
    if _PROTOCOL_KEY in document["settings_differ"]:
        console.warn(
            "asked under different protocols: prompts and rules differ, so only what the one "
            "grader reads in both is compared"
        )
    for run in document["runs"]:
        if not run["complete"]:
            console.warn(f"{run['run']} is not complete: answers or judgements are missing")
    for title, key in (("asked with", "settings_differ"), ("configured with", "config_differs")):
        for dotted, values in document[key].items():
            if dotted == _WEIGHTS_KEY or dotted.startswith(_PROMPTS_KEY):
                continue
            said = ", ".join(f"{run} {value!r}" for run, value in values.items())
            console.note(f"{title} {dotted}: {said}")


def show_published(
    console: Console, name: str, document: dict[str, Any], accuracy: str
) -> list[dict[str, Any]]:
    """Print what others published of a suite below what the runs have; returns theirs as data.

    Args:
        console: The command's console.
        name: The name of the results.
        document: The comparison of the runs.
        accuracy: Which of the runs' accuracies to show.
    """
    from vtk.evals.published import as_json, published_numbers

    numbers = published_numbers(name)
    if not numbers:
        console.note(f"nothing is published of {name}")
        return []
    ours = [
        [run["run"], "all", _with_interval(run[accuracy]["all"]), accuracy, "MEASURED HERE"]
        for run in document["runs"]
    ]
    theirs = [
        [
            n.model,
            n.type,
            format_percent(n.accuracy),
            n.protocol,
            f"published: {n.source} ({n.asked})",
        ]
        for n in numbers
    ]
    title = f"{name}: ours, and PUBLISHED by others: not measured here, not paired, no interval"
    columns = ["model", "of", "accuracy", "nearest protocol", "where from"]
    console.table(columns, [*ours, *theirs], title)
    return as_json(numbers)


def _with_interval(found: dict[str, Any]) -> str:
    return f"{format_percent(found['accuracy'])} {format_interval(*found['ci95'])}"
