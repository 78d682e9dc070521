"""E1, E5, E9: real `vtk eval` of a tiny model on real clips, killed, repeated, leaked."""

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from tests.reliability.process import Child, fork, wait_for
from tests.split_files import write_manifest
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
        model: Another model than the bench's.
        before: What the process does to itself before it runs the command.
    """

    def __init__(
        self,
        bench: Bench,
        folder: Path,
        data_dir: Path | None = None,
        model: Path | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.model, self.before = folder, model or bench.world.base, before
        self.data_dir = data_dir or bench.world.data_dir
        folder.mkdir(parents=True, exist_ok=True)

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
        self.before()
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


GREEDY = ("--temperature", "0")
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
            if num_killed < num_kills and begun < total - 1:  # or it would be killed for ever
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


def greedy_repeats(bench: Bench, folder: Path, num_orders: int) -> Figures:
    """The same plan three times; then other batch sizes, other orders, and sampled in both."""
    result = Figures("E5", "Greedy is greedy and repeatable")
    whole = _plan(bench, folder / "0", GREEDY, 2)
    again = [_plan(bench, folder / f"again-{number}", GREEDY, 2) for number in range(2)]
    result.check(all(rows == whole for rows in again), "the same plan gave other bytes")
    plans = {
        **{f"batches of {size}": (size, None) for size in (1, 8)},
        **{f"order {seed} in batches of {size}": (size, seed)
           for seed in range(num_orders) for size in (2, 8)},
    }  # fmt: skip
    for name, options in (("greedy", GREEDY), ("sampled", SAMPLED)):
        straight = _answers(whole if options is GREEDY else _plan(bench, folder / name, options, 2))
        flips = {}
        for number, (plan, (size, seed)) in enumerate(plans.items()):
            found = _answers(_plan(bench, folder / f"{name}-{number}", options, size, seed))
            result.check(found.keys() == straight.keys(), f"{name}, {plan}: other questions")
            flips[plan] = sum(found[key] != straight[key] for key in straight)
        differing = ", ".join(f"{plan}: {count}" for plan, count in flips.items() if count)
        result.figures.append(
            f"{name}: {sum(flips.values())} of {len(straight) * len(plans)} answers differ in "
            f"other company{differing and f' ({differing})'}"
        )
    num = len(_answers(whole))
    result.count = (
        f"{num} questions: 3 times in batches of 2; then batches of 1 and 8 and {num_orders} "
        "shuffled orders in batches of 2 and of 8, greedy and sampled"
    )
    result.figures = [
        "3 of 3 equal to the byte",
        *result.figures,
        "what may differ: a question's neighbours decide the padding and the shapes that are "
        "multiplied, and so the last bits of a logit; a draw is the question's own",
    ]
    return result


def _plan(
    bench: Bench, folder: Path, options: Sequence[str], size: int, order: int | None = None
) -> bytes:
    """The bytes of samples.jsonl; an order is the seed by which the questions are shuffled."""
    data_dir = bench.world.data_dir
    if order is not None:
        shutil.copytree(data_dir, folder / "data")
        data_dir = folder / "data"
        path = data_dir / SUITE / "split" / "validation.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        random.Random(order).shuffle(lines)
        path.write_text("".join(lines))
        write_manifest(path.parent)
    here = Evaluation(bench, folder / "eval", data_dir)
    code = here.start(*options, batch_size=size).wait()
    assert code == 0, here.log()
    return here.file("samples.jsonl").read_bytes()


def _answers(rows: bytes) -> dict[tuple[str, int], str]:
    found = [json.loads(line) for line in rows.splitlines()]
    return {(row["sample_id"], row["draw"]): row["completion"] for row in found}


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
