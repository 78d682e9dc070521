"""T5: a full disk costs the save that met it, and neither an old checkpoint nor the run."""

import contextlib
import errno
import json
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from tests.reliability.kills import watch_changes
from tests.reliability.process import fork
from vtk.runs.store import RunPaths
from vtk.train.checkpoint import CheckpointStore, damage_of

PROMISE = "A full disk costs one save: old checkpoints stay, training goes on, an alert says so"
MIB = 2**20
_TOLD = ("save_failed", "old_checkpoint_stays")


def fault_at_each_change(bench: Bench) -> Figures:
    """Every second save meets ENOSPC or EIO at its n-th open, rename, folder or deletion."""
    result = Figures("T5", PROMISE)
    paths = bench.new_run(
        "grpo", optim__num_steps=200, checkpoint__every_steps=1, checkpoint__keep=1
    )
    log = paths.root.parent / f"{paths.run_id}.json"
    worker = fork(lambda: _save_with_faults(bench, paths, log), log.with_suffix(".log"))
    assert worker.wait(600) == 0, log.with_suffix(".log").read_text()
    found = json.loads(log.read_text())
    result.broken += found["broken"]
    result.count = f"an injected ENOSPC or EIO at each of {found['num_places']} changes of a save"
    result.figures = [
        f"{found['num_kept']} of {found['num_places']} left a good checkpoint and a living run",
        f"{found['num_alerts']} alerts; the other faults cost nothing",
    ]
    return result


class _Faults:
    """Fails change after change of a run's saves: one fault in every second save.

    Args:
        bench: Runs the training.
        paths: The run.
    """

    def __init__(self, bench: Bench, paths: RunPaths) -> None:
        self.bench, self.paths = bench, paths
        self.place, self.begins_at, self.num_seen = 1, 0, 0
        self.is_armed = self.has_failed = False
        self.num_kept, self.num_alerts = 0, 0
        self.broken: list[str] = []

    def on_change(self, seen: int) -> None:
        """Fail the change whose turn it is."""
        self.num_seen = seen
        if self.is_armed and seen - self.begins_at == self.place:
            self.is_armed, self.has_failed = False, True
            raise OSError(errno.ENOSPC if self.place % 2 else errno.EIO, "injected")

    def on_event(self, type: str, payload: dict[str, Any], stop: Any) -> None:
        """Arm every second save, look at the disk after a fault, end when no place is left."""
        if type == "phase" and payload["name"] == "save":
            if self.has_failed:
                self._look()
            elif CheckpointStore(self.paths, 1).steps():
                self.is_armed, self.begins_at = True, self.num_seen
        self.num_alerts += type == "alert" and payload["rule"] in _TOLD
        if type == "checkpoint_saved" and self.is_armed:
            raise _AllTried

    def _look(self) -> None:
        steps = CheckpointStore(self.paths, 1).steps()
        if steps and damage_of(self.paths.checkpoint_dir(steps[-1])) is None:
            self.num_kept += 1
        else:
            self.broken.append(f"place {self.place}: no good checkpoint, {steps}")
        self.place, self.has_failed = self.place + 1, False


def _save_with_faults(bench: Bench, paths: RunPaths, log: Path) -> int:
    """In a process of its own, because an audit hook stays."""
    faults = _Faults(bench, paths)
    watch_changes(paths, faults.on_change)
    with contextlib.suppress(_AllTried):
        bench.attempt(paths, faults.on_event)
    found = {"broken": faults.broken, "num_kept": faults.num_kept, "num_alerts": faults.num_alerts}
    log.write_text(json.dumps(found | {"num_places": faults.place - 1}))
    return 0


class _AllTried(Exception):
    """Every place of a save has met a fault."""


def file_size_limits(bench: Bench, num_limits: int) -> Figures:
    """The kernel refuses to let files grow past a limit: real short writes, wherever they fall."""
    result = Figures("T5", "A write that the kernel cuts short costs one save (RLIMIT_FSIZE)")
    probe = bench.train("grpo", optim__num_steps=1)
    largest = max(path.stat().st_size for path in probe.checkpoint_dir(1).iterdir())
    num_alerts = 0
    for place in range(num_limits):
        limit = MIB // 4 + place * (largest - MIB // 4) // num_limits
        paths = bench.new_run("grpo", optim__num_steps=3, checkpoint__every_steps=1)
        log = paths.root.parent / f"{paths.run_id}.log"
        worker = fork(lambda paths=paths, limit=limit: _with_limit(bench, paths, limit), log)  # type: ignore[misc]
        result.check(worker.wait() == 0, f"limit {limit}: {log.read_text()[-300:]}")
        alerts = [alert["step"] for alert in bench.events(paths, "alert")]
        result.check(alerts == [2], f"limit {limit}: alerts at {alerts}")
        num_alerts += alerts == [2]
        saved = CheckpointStore(paths, 5).newest_good()
        result.check(saved == (3, []), f"limit {limit}: newest good {saved}")
    result.count = (
        f"{num_limits} limits from 0.25 to {largest / MIB:.1f} MiB, on the second of three saves"
    )
    result.figures = [
        f"{num_alerts} alerts, {num_limits} runs finished, first and third save intact"
    ]
    return result


def _with_limit(bench: Bench, paths: RunPaths, limit: int) -> int:
    """Files of step 2's checkpoint may not grow past the limit."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_event(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "phase" and payload["name"] == "save" and len(bench.events(paths, "step")) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
        if type == "alert":
            assert damage_of(paths.checkpoint_dir(1)) is None
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

    bench.attempt(paths, on_event)
    return 0


def small_disk(bench: Bench, num_levels: int, folder: Path) -> Figures:
    """A real file system that fills up: refused before the save, or in the middle of it."""
    result = Figures("T5", "A full file system costs one save (a small tmpfs)")
    size = _checkpoint_bytes(bench)
    refused, cut = 0, 0
    for level in range(num_levels):
        free = size * level // num_levels
        for is_told in (True, False):
            alerts = _train_on(bench, folder / f"{level}-{is_told}", size, free, is_told, result)
            is_refused = [alert["message"].startswith("a checkpoint needs") for alert in alerts]
            result.check(is_refused == [is_told], f"{free} B free, told {is_told}: {alerts}")
            refused, cut = refused + is_told, cut + (not is_told)
    result.count = (
        f"{num_levels} levels of free space from 0 to a checkpoint's {size / MIB:.1f} MiB"
    )
    result.figures = [
        f"{refused} saves refused before they began, {cut} cut by the kernel (the check blinded)",
        "old checkpoint intact and the next save good each time",
    ]
    return result


def _checkpoint_bytes(bench: Bench) -> int:
    paths = bench.train("grpo", optim__num_steps=1)
    return sum(path.stat().st_size for path in paths.checkpoint_dir(1).iterdir())


def _train_on(
    bench: Bench, disk: Path, size: int, free: int, is_told: bool, result: Figures
) -> list[dict[str, Any]]:
    """Alerts of a run whose checkpoints' disk has so much free at the second of three saves."""
    paths = bench.new_run("grpo", optim__num_steps=3, checkpoint__every_steps=1, checkpoint__keep=1)
    with _tmpfs(disk, 3 * size), pytest.MonkeyPatch.context() as patch:
        paths.checkpoints_dir.symlink_to(disk)
        filler = disk / "filler"

        def on_event(type: str, payload: dict[str, Any], stop: Any) -> None:
            step = len(bench.events(paths, "step"))
            if type == "phase" and payload["name"] == "save" and step == 2:
                filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - free)))
                if not is_told:
                    patch.setattr(shutil, "disk_usage", lambda _: _Plenty)
            if type == "alert":
                patch.undo()
                filler.unlink()
                good = damage_of(paths.checkpoint_dir(1)) is None
                result.check(good, f"{free} B free: the old checkpoint is damaged")

        bench.attempt(paths, on_event)
        saved = CheckpointStore(paths, 1).newest_good()
        result.check(saved == (3, []), f"{free} B free: newest good {saved}")
    return bench.events(paths, "alert")


class _Plenty:
    """What the blinded check is told."""

    free = 2**60


@contextlib.contextmanager
def _tmpfs(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={-(-size // 4096) * 4096}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def can_mount(folder: Path) -> bool:
    """Whether this user may mount a small file system."""
    try:
        with _tmpfs(folder / "probe", MIB):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
