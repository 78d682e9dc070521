"""T6: a clip that cannot be read is skipped and reported, and replaced by nothing."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from vtk.errors import DataError


def _zero_half(path: Path) -> None:
    content = bytearray(path.read_bytes())
    begin, end = len(content) // 10, len(content) * 9 // 10
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


KINDS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("404 not found"),
    "folder": _folder,
    "cut at 10 %": lambda path: _cut(path, 0.1),
    "cut at 90 %": lambda path: _cut(path, 0.9),
    "zeros inside": _zero_half,
    "noise": lambda path: path.write_bytes(random.Random(0).randbytes(20_000)),
}


def broken_shares(bench: Bench, num_questions: int, shares: list[float]) -> Figures:
    """Train over questions of which a share is about clips broken in eight ways."""
    result = Figures("T6", "A broken clip is skipped and reported, never replaced")
    asked_whole: list[str] = []
    for share in shares:
        num_broken = round(share * num_questions)
        path, broken = _questions(bench, num_questions, num_broken)
        paths = bench.train(
            "grpo",
            data__train=str(path),
            data__max_skipped_frac=1.0,
            rollout__num_generations=2,
            rollout__max_completion_tokens=2,
            optim__prompts_per_device=8,
            optim__num_steps=-(-num_questions // 8),
        )
        skipped = [event["sample_id"] for event in bench.events(paths, "sample_skipped")]
        result.check(set(skipped) == set(broken), f"{share:.0%}: skipped {sorted(skipped)}")
        steps = [n for n in range(1, 1000) if paths.rollout_file(n).exists()]
        asked = [row["sample_id"] for row in bench.rows(paths, steps)]
        asked_whole = asked_whole or asked
        rest = [sample_id for sample_id in asked_whole if sample_id not in broken]
        rest_asked = [sample_id for sample_id in asked if sample_id in set(rest)]
        result.check(rest_asked == rest, f"{share:.0%}: the others came in another order")
        result.figures.append(f"{share:.0%}: {len(set(skipped))} of {num_broken} skipped, no other")
    _check_budget(bench, num_questions, result)
    result.count = f"{num_questions} questions a run, {len(KINDS)} kinds of damage"
    return result


def _check_budget(bench: Bench, num_questions: int, result: Figures) -> None:
    path, _ = _questions(bench, num_questions, num_questions // 4)
    paths = bench.new_run(
        "grpo", data__train=str(path), data__max_skipped_frac=0.05, optim__num_steps=200
    )
    try:
        bench.attempt(paths)
    except DataError:
        num_skipped = len(bench.events(paths, "sample_skipped"))
        result.figures.append(f"a budget of 5 % stops the run after {num_skipped} skipped")
        return
    result.check(False, "a quarter is broken and the run went on past its budget")


def _questions(bench: Bench, num_questions: int, num_broken: int) -> tuple[Path, list[str]]:
    """A file of questions, those broken spread over it, and their ids."""
    rows = [json.loads(line) for line in bench.world.train_file.read_text().splitlines()]
    root = bench.runs_dir.parent / f"questions-{num_broken}"
    shutil.rmtree(root, ignore_errors=True)
    (root / "split").mkdir(parents=True)
    shutil.copytree(bench.world.data_dir / "clevrer-mini" / "videos", root / "videos")
    made = [rows[n % len(rows)] | {"sample_id": f"q{n:04d}"} for n in range(num_questions)]
    places = random.Random(num_broken).sample(range(num_questions), num_broken)
    for number, place in enumerate(places):
        kind = list(KINDS)[number % len(KINDS)]
        clip = root / f"broken-{number}.mp4"
        shutil.copyfile(root / made[place]["video"], clip)
        KINDS[kind](clip)
        made[place] |= {"video": clip.name}
    path = root / "split" / "train.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in made))
    return path, [f"q{place:04d}" for place in places]
