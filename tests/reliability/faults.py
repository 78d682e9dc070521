"""E2: everything that can go wrong with one question of an evaluation, each by a real cause.

All questions are one batch, so that whoever fails has neighbours.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.reliability import causes
from tests.reliability.bench import Bench
from tests.reliability.clips import KINDS
from tests.reliability.evaluations import NUM_DRAWS, SAMPLED, SUITE, Evaluation
from tests.reliability.figures import Figures
from tests.split_files import write_manifest

Rows = list[dict[str, Any]]

BATCH: Final = 8
KINDS_OF_ERROR: Final = ("decode", "timeout", "prompt", "generate", "memory")
MARKED, LONG = 2, 5
"""Places of the question with a sign of its own and of the one that is long."""

LIBRARY: Final = ("--set", "rollout.engine=reference")
LARGE: Final = (
    *("--num-frames", "16", "--max-pixels", "50176", "--set", "prompt.max_prompt_tokens=4096"),
)
"""Clips that take much memory beside the process itself."""


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        kind: Of the errors that it makes.
        hits: Places of the questions that it hits; None where it may hit any.
        options: Added to the command.
        plan: Added to the command, and to that of the clean evaluation.
        damage: Done to a copy of the last clip.
        spoil: Makes another model, from a folder to a folder.
        before: Done by the process to itself.
        is_mended: Whether the clean answers come once the cause is gone.
    """

    kind: str
    hits: Sequence[int] | None
    options: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    damage: Callable[[Path], object] | None = None
    spoil: Callable[[Path, Path], Path] | None = None
    before: Callable[[], None] = lambda: None
    is_mended: bool = True


def errors_count_as_wrong(
    bench: Bench, folder: Path, spare_mib: Sequence[int], kinds: Collection[str] = KINDS_OF_ERROR
) -> Figures:
    """Make questions fail in every way; denominators stay, and no neighbour answers otherwise."""
    result = Figures("E2", "Errors count as wrong, are visible, and touch no neighbour")
    data_dir = folder / "data"
    shutil.copytree(bench.world.data_dir, data_dir)
    causes.mark_questions(data_dir / SUITE / "split" / "validation.jsonl", MARKED, LONG)
    write_manifest(data_dir / SUITE / "split")
    found, told = Counter[str](), folder / "refused"
    every = _faults(spare_mib, told)
    faults = {name: fault for name, fault in every.items() if fault.kind in kinds}
    clean = {
        plan: _ask(Evaluation(bench, folder / f"clean-{number}", data_dir), plan).rows()
        for number, plan in enumerate({fault.plan for fault in faults.values()})
    }
    for number, (name, fault) in enumerate(faults.items()):
        whole = clean[fault.plan]
        found += _fail(bench, folder / str(number), data_dir, name, fault, whole, result)
        shutil.rmtree(folder / str(number))
    refused = Counter(told.read_text().split()) if told.exists() else Counter()
    result.check(refused[str(BATCH)] > 0, "no batch was refused memory")
    lengths = _short_and_long(bench, folder, result)
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(found.items()))
    num_questions = len(next(iter(clean.values()))) // NUM_DRAWS
    result.count = f"{len(faults)} faults of {num_questions} questions in one batch: " + ", ".join(
        faults
    )
    result.figures = [
        f"{sum(found.values())} rows are errors ({counts}), counted as wrong; no denominator moves",
        "accuracy equals the count by hand; all other completions are the same",
        "asked again without the cause: the answers of an evaluation that nothing befell",
        f"{refused[str(BATCH)]} batches were refused memory, {refused['1']} of their questions "
        "alone as well",
        lengths,
    ]
    return result


def _faults(spare_mib: Sequence[int], told: Path) -> dict[str, Fault]:
    of_last_clip = range(4, 8)
    found = {f"clip {name}": Fault("decode", of_last_clip, damage=KINDS[name]) for name in KINDS}
    found["clip of 20 s to read where 4 are allowed"] = Fault(
        "timeout", of_last_clip, ("--set", "eval.clip_patience_s=4"), damage=causes.write_slow
    )
    found["prompt too long"] = Fault(
        "prompt", [LONG], ("--set", "prompt.max_prompt_tokens=280"), is_mended=False
    )
    for engine, plan in (("our engine", ()), ("the library's engine", LIBRARY)):
        found[f"NaN for one word in {engine}"] = Fault(
            "generate", [MARKED], plan=plan, spoil=causes.poisoned, is_mended=False
        )
    for spare in spare_mib:
        limit = causes.limit_memory_at_the_first_answer(spare, told)
        found[f"{spare} MiB of memory left"] = Fault("memory", None, plan=LARGE, before=limit)
    return found


def _ask(here: Evaluation, options: Sequence[str]) -> Evaluation:
    code = here.start(*SAMPLED, *options, batch_size=BATCH).wait()
    assert code == 0, f"exit {code}: {here.log()}"
    return here


def _fail(
    bench: Bench,
    folder: Path,
    data_dir: Path,
    name: str,
    fault: Fault,
    whole: Rows,
    result: Figures,
) -> Counter[str]:
    """Ask under a fault, then again without it; the errors by kind."""
    own_data = folder / "data"
    shutil.copytree(data_dir, own_data)
    clip = sorted((own_data / SUITE / "videos" / "validation").rglob("*.mp4"))[-1]
    if fault.damage is not None:
        fault.damage(clip)
    model = None if fault.spoil is None else fault.spoil(bench.world.base, folder / "model")
    here = Evaluation(bench, folder / "eval", own_data, model, fault.before)
    code = here.start(*SAMPLED, *fault.plan, *fault.options, batch_size=BATCH).wait()
    rows = here.rows()
    bad = [row for row in rows if row["error"] is not None]
    if code == 0:
        _check_rows(result, name, fault, rows, whole)
        _check_results(result, name, here.results(), rows)
    else:  # an evaluation in which nothing works ends
        is_told = fault.hits is None and f"questions all failed ({fault.kind})" in here.log()
        result.check(is_told and len(bad) == len(rows), f"{name}: exit {code}: {here.log()}")
    if fault.is_mended and bad:
        shutil.rmtree(own_data)
        shutil.copytree(data_dir, own_data)
        here.before = lambda: None
        is_same = _ask(here, [*fault.plan, *fault.options, "--retry-errors"]).rows() == whole
        result.check(is_same, f"{name}: asked again, other answers")
    return Counter(row["error"]["kind"] for row in bad)


def _check_rows(result: Figures, name: str, fault: Fault, rows: Rows, whole: Rows) -> None:
    ids = list(dict.fromkeys(row["sample_id"] for row in whole))
    hit = {row["sample_id"] for row in rows if row["error"] is not None}
    if fault.hits is not None:
        result.check(hit == {ids[place] for place in fault.hits}, f"{name}: errors of {hit}")
    kinds = {row["error"]["kind"] for row in rows if row["error"] is not None}
    result.check(kinds <= {fault.kind}, f"{name}: errors of kind {kinds}")
    keys = [[(row["sample_id"], row["draw"]) for row in each] for each in (rows, whole)]
    result.check(keys[0] == keys[1], f"{name}: other rows")
    is_same = all(a["completion"] == b["completion"] for a, b in _pairs(rows, whole, hit))
    result.check(is_same, f"{name}: a neighbour answered otherwise")


def _pairs(rows: Rows, whole: Rows, hit: set[str]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    pairs = zip(rows, whole, strict=True)
    return [(row, other) for row, other in pairs if row["sample_id"] not in hit]


def _check_results(result: Figures, name: str, results: dict[str, Any], rows: Rows) -> None:
    told, bad = results["strict"]["all"], [row for row in rows if row["error"] is not None]
    by_hand = sum(row["strict"] for row in rows if row["error"] is None) / len(rows)
    result.check(told["n"] * NUM_DRAWS == len(rows), f"{name}: {told['n']} questions")
    result.check(abs(told["accuracy"] - by_hand) < 1e-9, f"{name}: {told} is not {by_hand}")
    result.check(results["outcomes"]["error"] == len(bad), f"{name}: {results['outcomes']}")
    result.check(results["complete"] is True, f"{name}: not complete")


def _short_and_long(bench: Bench, folder: Path, result: Figures) -> str:
    """Completions without a word and without an end, in one batch and each question alone."""
    model = causes.terse_or_endless(bench, folder / "terse")
    rows: dict[int, Rows] = {}
    for size in (BATCH, 1):
        here = Evaluation(bench, folder / f"lengths-{size}", model=model)
        code = here.start(*SAMPLED, batch_size=size).wait()
        assert code == 0, here.log()
        rows[size] = here.rows()
        _check_results(result, f"lengths in batches of {size}", here.results(), rows[size])
        no_answer = [row for row in rows[size] if row["parsed"] is None]
        told = here.results()["outcomes"]["unparsable"]
        result.check(told == len(no_answer), f"{told} unparsable, not {len(no_answer)}")
    empty = [row for row in rows[BATCH] if row["completion"] == ""]
    cut = [row for row in rows[BATCH] if row["is_truncated"]]
    result.check(bool(empty) and bool(cut), f"{len(empty)} empty and {len(cut)} cut completions")
    is_wrong = all(row["strict"] == 0.0 and row["parsed"] is None for row in empty)
    result.check(is_wrong, "an empty completion is no wrong answer")
    said = [[row["completion"] for row in rows[size]] for size in (BATCH, 1)]
    result.check(said[0] == said[1], "alone, a question is answered otherwise")
    return (
        f"{len(empty)} empty and {len(cut)} cut completions of {len(rows[BATCH])} count as they "
        "are read; the others are the same alone"
    )
