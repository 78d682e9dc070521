"""`vtk data check`: every clip of a data set probed, several at once, in children with limits.

The manifest is replaced every few seconds and at the end, also when the check is interrupted, so
that a repeated check goes on where it stopped: what has a verdict and has not changed is kept, but
what met a limit or crashed the decoder is probed again.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from vtk.data.benchmarks.table import BENCHMARKS, benchmark_dir
from vtk.data.registry import DATASETS, SPLIT_FILES, dataset_dir
from vtk.data.sample import load_samples
from vtk.data.verdicts import BAD, Verdict, Verdicts, clip_version, read_verdicts, write_verdicts
from vtk.errors import ConfigError, DataError
from vtk.hints import download_hint, nearest_hint
from vtk.video.prober import ProbeLimits, Prober

_WRITE_EVERY_S: Final = 5.0


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        root: The data set's folder.
        verdicts: Of every clip.
        num_probed: Clips that this check probed; the others had a verdict.
    """

    root: Path
    verdicts: Verdicts
    num_probed: int

    @property
    def bad(self) -> dict[str, str]:
        """Clip -> what is wrong with it."""
        return {
            name: str(found.probe.problem)
            for name, found in self.verdicts.items()
            if found.verdict == BAD
        }


def list_clips(data_dir: Path, name: str) -> tuple[Path, list[str]]:
    """The folder of a data set, and its clips below it, those that lack included.

    Raises:
        ConfigError: There is no such data set.
        DataError: It is not here, or its questions are malformed.
    """
    if name not in (*BENCHMARKS, *DATASETS):
        known = dict.fromkeys((*DATASETS, *BENCHMARKS))
        hint = nearest_hint(name, known, "Data sets")
        raise ConfigError(f"there is no data set named {name!r}", hint)
    if name in BENCHMARKS:
        root = benchmark_dir(data_dir, name)
        _require_folder(root, name)
        questions = BENCHMARKS[name].convert(root).with_judged()
        return root, sorted({sample.clip_id for sample in questions.samples})
    root = dataset_dir(data_dir, name)
    _require_folder(root, name)
    real_root = root.resolve()
    splits = [root / "split" / f"{part}.jsonl" for part in SPLIT_FILES]
    asked = {sample.video for path in splits if path.is_file() for sample in load_samples(path)}
    here = {path.resolve() for path in (root / "videos").rglob("*.mp4")}
    inside = {path for path in asked | here if path.is_relative_to(real_root)}
    return root, sorted(path.relative_to(real_root).as_posix() for path in inside)


def check_clips(
    root: Path,
    clips: Sequence[str],
    limits: ProbeLimits,
    workers: int,
    *,
    is_restart: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_clip: Callable[[str, Verdict], None] | None = None,
) -> CheckResult:
    """Probe what has no verdict yet and write the manifest.

    Args:
        root: The data set's folder.
        clips: Paths below it.
        limits: What one clip may cost.
        workers: Children at once.
        is_restart: Forget earlier verdicts.
        on_start: Called with the number of clips to probe.
        on_clip: Called with each clip that was probed.

    Raises:
        DataError: The manifest that is there is damaged.
        VtkError: It cannot be written, or no child can be started.
    """
    earlier = {} if is_restart else read_verdicts(root)
    verdicts = {
        name: earlier[name]
        for name in clips
        if name in earlier and _holds(earlier[name], root / name)
    }
    todo = [name for name in clips if name not in verdicts]
    if on_start is not None:
        on_start(len(todo))
    written_s = time.monotonic()
    try:
        with closing(_probed(root, todo, limits, workers)) as probed:
            for name, verdict in probed:
                verdicts[name] = verdict
                if on_clip is not None:
                    on_clip(name, verdict)
                if time.monotonic() - written_s > _WRITE_EVERY_S:
                    write_verdicts(root, verdicts)
                    written_s = time.monotonic()
    finally:
        write_verdicts(root, verdicts)
    return CheckResult(root, verdicts, len(todo))


def _holds(verdict: Verdict, clip: Path) -> bool:
    """Whether a verdict is about the clip as it is, not about the limits of an earlier check."""
    return verdict.version == clip_version(clip) and not verdict.probe.is_of_probe


def _probed(
    root: Path, clips: Sequence[str], limits: ProbeLimits, workers: int
) -> Generator[tuple[str, Verdict], None, None]:
    """Each clip with its verdict, as they are found; a child is idle, or has one clip."""
    idle: SimpleQueue[Prober] = SimpleQueue()

    def probe(name: str) -> tuple[str, Verdict]:
        prober = idle.get()
        try:
            version = clip_version(root / name)
            return name, Verdict.of(prober.probe(root / name), version)
        finally:
            idle.put(prober)

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(workers, thread_name_prefix="vtk-check"))
        probers = [stack.enter_context(Prober(limits)) for _ in range(workers)]
        for prober in probers:
            idle.put(prober)
        waiting: set[Future[tuple[str, Verdict]]] = set()
        upcoming = iter(clips)
        try:
            while True:
                waiting |= {pool.submit(probe, name) for name in _take(upcoming, workers, waiting)}
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in waiting:
                future.cancel()
            for prober in probers if waiting else ():
                prober.kill()
            pool.shutdown()  # a child's pipes are closed only when no thread reads them any more


def _take(
    upcoming: Iterator[str], workers: int, waiting: set[Future[tuple[str, Verdict]]]
) -> list[str]:
    """As many clips as keep every child busy and one more each waiting."""
    return [name for _, name in zip(range(2 * workers - len(waiting)), upcoming, strict=False)]


def _require_folder(root: Path, name: str) -> None:
    if not root.is_dir():
        raise DataError(f"{root} is not there", download_hint(name, root.parent))
