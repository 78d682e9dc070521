"""E1, E2, E5, E9: real `vtk eval` of a tiny model on real clips, killed, damaged, repeated."""

import json
import os
import random
import shutil
import signal
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.reliability.bench import Bench
from tests.reliability.clips import KINDS
from tests.reliability.figures import Figures
from tests.reliability.process import Child, fork, wait_for
from vtk.data.sample import load_samples
from vtk.evals.leaks import find_leaks

SUITE = "clevrer-mini"
NUM_DRAWS = 4


class Evaluation:
    """One folder of runs, and the command that fills it.

    Args:
        bench: Its model and data.
        folder: Made anew.
        data_dir: Other data than the bench's.
    """

    def __init__(self, bench: Bench, folder: Path, data_dir: Path | None = None) -> None:
        self.folder, self.model = folder, bench.world.base
        self.data_dir = data_dir or bench.world.data_dir
        folder.mkdir(parents=True)

    def start(self, *options: str, batch_size: int = 2) -> Child:
        """The command in a process of its own."""
        sizes = ["--max-completion-tokens", "24", "--batch-size", str(batch_size)]
        places = ["--data-dir", str(self.data_dir), "--runs-dir", str(self.folder / "runs")]
        command = ["eval", SUITE, "--model", str(self.model), "--preset", "tiny", *sizes, *places]
        return fork(lambda: self._run([*command, *options]), self.folder / "log")

    def _run(self, arguments: list[str]) -> int:
        import torch

        from vtk.cli.app import main

        torch.set_num_threads(1)
        sys.stdout = sys.stderr = (self.folder / "log").open("a", buffering=1)
        os.environ["VTK_CACHE_DIR"] = str(self.folder / "cache")
        return main(arguments)

    def file(self, name: str) -> Path:
        """A file of the evaluation; it may not be there yet."""
        found = list((self.folder / "runs").glob(f"*/eval/{SUITE}/{name}"))
        return found[0] if found else self.folder / name

    def num_rows(self) -> int:
        """Whole rows so far."""
        path = self.file("samples.jsonl")
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def rows(self) -> list[dict[str, Any]]:
        """The rows as plain data."""
        return [json.loads(line) for line in self.file("samples.jsonl").read_text().splitlines()]

    def results(self) -> dict[str, Any]:
        """The results as plain data."""
        found: dict[str, Any] = json.loads(self.file("results.json").read_text())
        return found

    def log(self) -> str:
        """The end of what was printed."""
        return (self.folder / "log").read_text()[-500:]


SAMPLED = ("--temperature", "1", "--samples-per-question", str(NUM_DRAWS))


def kill_at_random_rows(bench: Bench, num_kills: int, folder: Path, seed: int = 0) -> Figures:
    """SIGKILL the command at random rows and repeat it until it ends by itself."""
    result = Figures("E1", "Stop and resume give the same result file")
    straight = Evaluation(bench, folder / "straight")
    assert straight.start(*SAMPLED).wait() == 0, straight.log()
    expected = [straight.file(name).read_bytes() for name in ("samples.jsonl", "results.json")]
    total, draw = straight.num_rows(), random.Random(seed)
    num_killed, num_rounds = 0, 0
    while num_killed < num_kills:
        here, num_rounds = Evaluation(bench, folder / str(num_rounds)), num_rounds + 1
        while True:
            child, begun = here.start(*SAMPLED), here.num_rows()
            if num_killed < num_kills and begun < total:
                wanted = draw.randint(begun, min(total - 1, begun + total // 4))
                wait_for(child, lambda n=wanted: here.num_rows() >= n)  # type: ignore[misc]  # noqa: B023
                child.send(signal.SIGKILL)
            code = child.wait()
            if code == 0:
                break
            result.check(code == -signal.SIGKILL, f"ended with {code}: {here.log()}")
            if code != -signal.SIGKILL:
                return result
            num_killed += 1
        ids = [(row["sample_id"], row["draw"]) for row in here.rows()]
        result.check(len(set(ids)) == len(ids) == total, f"round {num_rounds}: {len(ids)} rows")
        found = [here.file(name).read_bytes() for name in ("samples.jsonl", "results.json")]
        result.check(found == expected, f"round {num_rounds} ends with other bytes")
    result.count = f"{num_killed} SIGKILLs in {num_rounds} evaluations of {total} rows"
    result.figures = [
        "0 rows twice, 0 missing",
        f"answers and results of {num_rounds} of {num_rounds} equal to the byte",
    ]
    return result


def errors_count_as_wrong(bench: Bench, folder: Path) -> Figures:
    """Break clips in every way; denominators stay, and no neighbour of a bad row changes."""
    result = Figures("E2", "Errors count as wrong, are visible, and touch no neighbour")
    clean = Evaluation(bench, folder / "clean")
    assert clean.start(*SAMPLED).wait() == 0, clean.log()
    num_errors = 0
    for number, (kind, damage) in enumerate(KINDS.items()):
        data_dir = folder / f"data-{number}"
        shutil.copytree(bench.world.data_dir, data_dir)
        broken = sorted((data_dir / SUITE / "videos" / "validation").rglob("*.mp4"))[-1]
        damage(broken)
        here = Evaluation(bench, folder / f"broken-{number}", data_dir)
        code = here.start(*SAMPLED).wait()
        result.check(code == 0, f"{kind}: exit {code}: {here.log()}")
        if code != 0:
            continue
        rows, whole = here.rows(), clean.rows()
        bad = [row for row in rows if row["error"] is not None]
        num_errors += len(bad)
        result.check(
            {Path(row["clip_id"]).name for row in bad} == {broken.stem},
            f"{kind}: errors of {sorted({row['clip_id'] for row in bad})}",
        )
        pairs = zip(rows, whole, strict=True)
        result.check(
            all(a["completion"] == b["completion"] for a, b in pairs if a["error"] is None),
            f"{kind}: a neighbour answered otherwise",
        )
        told = here.results()["strict"]["all"]
        by_hand = sum(row["strict"] for row in rows if row["error"] is None) / len(rows)
        n = clean.results()["strict"]["all"]["n"]
        result.check(told["n"] == n, f"{kind}: {told['n']} questions of {n}")
        result.check(abs(told["accuracy"] - by_hand) < 1e-9, f"{kind}: {told} is not {by_hand}")
    result.count = f"one of two clips broken in {len(KINDS)} ways, {len(clean.rows())} rows each"
    result.figures = [
        f"{num_errors} rows are errors, counted as wrong; the denominator is the same each time",
        "accuracy equals the count by hand; all other completions are the same",
    ]
    return result


def greedy_repeats(bench: Bench, folder: Path) -> Figures:
    """The same plan three times, then other batch sizes and another order of the questions."""
    result = Figures("E5", "Greedy is greedy and repeatable")
    plans: dict[str, list[dict[str, Any]]] = {}
    for number, batch_size in enumerate((2, 2, 2, 1, 8)):
        here = Evaluation(bench, folder / str(number))
        code = here.start("--temperature", "0", batch_size=batch_size).wait()
        assert code == 0, here.log()
        plans[f"{number}"] = here.rows()
        here.file("samples.jsonl").replace(folder / f"{number}.jsonl")
    same = [(folder / f"{number}.jsonl").read_bytes() for number in range(3)]
    result.check(all(a == b for a, b in pairwise(same)), "the same plan gave other bytes")
    answers = {
        name: {row["sample_id"]: row["completion"] for row in rows} for name, rows in plans.items()
    }
    flips = {
        size: sum(answers[name][key] != answers["0"][key] for key in answers["0"])
        for size, name in ((1, "3"), (8, "4"))
    }
    num = len(answers["0"])
    result.count = f"{num} questions: 3 times in batches of 2, then of 1 and of 8"
    result.figures = [
        "3 of 3 equal to the byte",
        *(f"batches of {size}: {count} of {num} answers differ" for size, count in flips.items()),
    ]
    return result


def leaks_are_found(bench: Bench, folder: Path) -> Figures:
    """Training files with questions of the suite put in: as they are, renamed, copied, reworded."""
    result = Figures("E9", "Overlap of training and evaluation is found and counted")
    root = bench.world.data_dir / SUITE
    asked = load_samples(root / "split" / "validation.jsonl")
    train = [json.loads(line) for line in bench.world.train_file.read_text().splitlines()]
    held = [json.loads(x) for x in (root / "split" / "validation.jsonl").read_text().splitlines()]
    shutil.copytree(root / "videos", folder / "videos")
    copied = folder / "videos" / "copy.mp4"
    shutil.copyfile(root / held[0]["video"], copied)
    cases = {
        "the split as it is": (train, 0, 0),
        "a question as it is": ([*train, held[0]], None, 1),
        "its clip under another name": ([*train, held[0] | {"video": "videos/copy.mp4"}], None, 1),
        "its words in other spaces and case": (
            [*train, held[0] | {"problem": "  " + held[0]["problem"].upper()}], None, 1,
        ),
        "its clip with another question": (
            [*train, train[0] | {"sample_id": "more", "video": held[0]["video"]}], None, 0,
        ),
    }  # fmt: skip
    (folder / "split").mkdir(parents=True, exist_ok=True)
    path = folder / "split" / "train.jsonl"
    on_clip = sum(sample.clip_id == asked[0].clip_id for sample in asked)
    for name, (rows, num_on_clips, num_both) in cases.items():
        path.write_text("\n".join(json.dumps(row) for row in rows))
        leak = find_leaks(path, asked)
        expected = on_clip if num_on_clips is None else num_on_clips
        result.check(leak.num_on_shared_clips == expected, f"{name}: {leak}")
        result.check(leak.num_both >= num_both, f"{name}: {leak}")
        result.figures.append(
            f"{name}: {leak.num_on_shared_clips} on shared clips, {leak.num_both} seen in training"
        )
    result.count = f"{len(cases)} training files against {len(asked)} questions"
    return result
