"""The layout of a run directory, and how runs are made and found.

```
runs/<run_id>/
  run.json        id, stage, created, argv, code, packages, machine      written once, before work
  config.json     {"config": resolved values, "provenance": where each came from}
  events.jsonl    append-only, one writer          owner.json   who that writer is, while it runs
  rollouts/step_000050.jsonl    rollouts/frames/<clip>.png    eval/<suite>/
  checkpoints/step_000500/      control/    logs/
  ranks/rank_1.json     what each of several processes says of itself
  memory.json           how small pieces must be, once an attempt ended out of memory
```

No other module knows these names.
"""

import difflib
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vtk.errors import ConfigError, DataError
from vtk.format import visible_text, without_secrets
from vtk.runs.events import is_count
from vtk.runs.files import read_json, storage_error, sync_folder, write_json_atomic
from vtk.runs.provenance import git_facts, machine_facts, package_versions

__all__ = [
    "RunPaths",
    "create_run",
    "list_runs",
    "newest_run",
    "num_steps_of",
    "read_json",
    "resolve_run",
    "write_json_atomic",
]

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NO_RUNS: Final = (
    "Name the folder of your runs with --runs-dir, or make some in demo-out/runs with: vtk demo"
)
_NUM_SUGGESTIONS: Final = 5


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Where everything of one run lies. Making one touches no disk."""

    root: Path

    @property
    def run_id(self) -> str:
        """The run's id: the name of its directory."""
        return self.root.absolute().name

    @property
    def run_json(self) -> Path:
        """What the run is: id, stage, time, argv, code, packages, machine."""
        return self.root / "run.json"

    @property
    def config_json(self) -> Path:
        """The resolved configuration and where each value came from."""
        return self.root / "config.json"

    @property
    def events(self) -> Path:
        """The append-only event log."""
        return self.root / "events.jsonl"

    @property
    def owner_json(self) -> Path:
        """The process that writes the event log now; absent when none does."""
        return self.root / "owner.json"

    @property
    def owner_lock(self) -> Path:
        """Locked only while ownership is decided."""
        return self.root / "owner.lock"

    @property
    def rollouts_dir(self) -> Path:
        """Completions with their rewards, one file a step."""
        return self.root / "rollouts"

    def rollout_file(self, step: int) -> Path:
        """The completions of one step."""
        return self.rollouts_dir / f"step_{step:06d}.jsonl"

    @property
    def frames_dir(self) -> Path:
        """Small pictures of the frames that the model saw, one file a clip."""
        return self.rollouts_dir / "frames"

    def eval_dir(self, suite: str) -> Path:
        """Graded samples and results of one suite.

        Raises:
            ConfigError: The suite's name cannot be a folder's name.
        """
        if not _RUN_ID.fullmatch(suite):
            raise ConfigError(
                f"{visible_text(suite)!r} cannot name the folder of an evaluation",
                "Give --name letters, digits, dots, dashes and underscores only.",
            )
        return self.root / "eval" / suite

    @property
    def checkpoints_dir(self) -> Path:
        """All checkpoints."""
        return self.root / "checkpoints"

    def checkpoint_dir(self, step: int) -> Path:
        """The checkpoint of one step."""
        return self.checkpoints_dir / f"step_{step:06d}"

    @property
    def ranks_dir(self) -> Path:
        """What each process of several says of itself."""
        return self.root / "ranks"

    def rank_file(self, rank: int) -> Path:
        """What one of several processes says of itself."""
        return self.ranks_dir / f"rank_{rank}.json"

    @property
    def memory_json(self) -> Path:
        """How small the pieces of a step must be; absent until an attempt ended out of memory."""
        return self.root / "memory.json"

    @property
    def control_dir(self) -> Path:
        """Requests to the running process."""
        return self.root / "control"

    @property
    def logs_dir(self) -> Path:
        """Plain output of the processes."""
        return self.root / "logs"

    def exists(self) -> bool:
        """Tell whether a run is there."""
        return self.run_json.is_file() or self.events.is_file()


def create_run(
    runs_dir: Path,
    stage: str,
    name: str | None = None,
    *,
    argv: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> RunPaths:
    """Make a run directory with run.json and config.json, before any work is done.

    Args:
        runs_dir: The folder of all runs; made if missing.
        stage: What the run does, for instance "bias", "cdpo", "grpo", "eval".
        name: The run's id; default the stage and the local time.
        argv: The command line; passwords and tokens are masked.
        config: The resolved configuration.
        provenance: Dotted configuration path to where its value came from.
        extra: More facts for run.json; `machine` is merged into the facts gathered here.

    Raises:
        ConfigError: The name is taken, or cannot be a folder's name.
        VtkError: The files cannot be written.
    """
    created = time.time()
    paths = _claim_directory(runs_dir, stage, name, created)
    more = dict(extra or {})
    facts = {
        "id": paths.run_id,
        "stage": stage,
        "created": created,
        "created_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created)),
        "argv": [without_secrets(word) for word in argv],
        "git": git_facts(),
        "packages": package_versions(),
        "machine": machine_facts() | dict(more.pop("machine", {})),
    }
    write_json_atomic(paths.config_json, {"config": config or {}, "provenance": provenance or {}})
    write_json_atomic(paths.run_json, facts | more)
    return paths


def list_runs(runs_dir: Path) -> list[RunPaths]:
    """Return the runs in a folder, newest first; empty if there is no such folder."""
    if not runs_dir.is_dir():
        return []
    found = [RunPaths(entry) for entry in runs_dir.iterdir() if entry.is_dir()]
    return sorted((run for run in found if run.exists()), key=_age_key, reverse=True)


def newest_run(runs_dir: Path) -> RunPaths | None:
    """Return the run that was created last; None if there is none."""
    return next(iter(list_runs(runs_dir)), None)


def resolve_run(runs_dir: Path, ref: str | None) -> RunPaths:
    """Return the run a user means.

    Args:
        runs_dir: The folder of all runs.
        ref: A run's id, a prefix that only one id has, a path to a run directory, or None for the
            newest run.

    Raises:
        DataError: No run or more than one run is meant; the hint names those that are close.
    """
    runs = list_runs(runs_dir)
    if ref is None:
        if not runs:
            raise DataError(f"there is no run in {runs_dir}", hint=_NO_RUNS)
        return runs[0]
    matches = [run for run in runs if run.run_id == ref] or _run_at(Path(ref))
    matches = matches or [run for run in runs if ref and run.run_id.startswith(ref)]
    if len(matches) == 1:
        return matches[0]
    shown = visible_text(ref)
    if matches:
        names = ", ".join(run.run_id for run in matches[:_NUM_SUGGESTIONS])
        raise DataError(
            f"{shown!r} is the beginning of {len(matches)} runs: {names}",
            hint="Give more of the id.",
        )
    raise DataError(f"there is no run {shown!r} in {runs_dir}", hint=_suggestion(ref, runs))


def num_steps_of(config_json: Mapping[str, Any]) -> int | None:
    """Return `optim.num_steps` of a config.json; None if it has none."""
    config = config_json.get("config")
    optim = config.get("optim") if isinstance(config, dict) else None
    num_steps = optim.get("num_steps") if isinstance(optim, dict) else None
    return num_steps if is_count(num_steps) else None


def resume_hint(paths: RunPaths) -> str:
    """The command that goes on with a training run; empty for what is no training run."""
    stage = read_json(paths.run_json).get("stage") if paths.run_json.is_file() else None
    if stage in (None, "eval"):
        return ""
    return f"Go on with it: vtk train-{stage} --resume {shlex.quote(str(paths.root))}"


def require_run_name(name: str) -> str:
    """A name that a run can have.

    Raises:
        ConfigError: It cannot be a folder's name.
    """
    if not _RUN_ID.fullmatch(name):
        raise ConfigError(
            f"{visible_text(name)!r} cannot name a run",
            hint="Use letters, digits, '.', '_' and '-'; at most 100.",
        )
    return name


def _claim_directory(runs_dir: Path, stage: str, name: str | None, created: float) -> RunPaths:
    made_up = f"{stage}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(created))}"
    wanted = made_up if name is None else require_run_name(name)
    number = 1
    while True:
        root = runs_dir / (wanted if number == 1 else f"{wanted}-{number}")
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            root.mkdir()
            sync_folder(runs_dir)
            return RunPaths(root)
        except FileExistsError:
            if not runs_dir.is_dir():
                raise ConfigError(
                    f"{runs_dir} exists already and is no folder", "Choose another --runs-dir."
                ) from None
            if name is not None:
                hint = f"Choose another --name. {resume_hint(RunPaths(root))}".strip()
                raise ConfigError(f"{root} exists already", hint) from None
            number += 1
        except OSError as error:
            raise storage_error(root, error) from error


def _run_at(path: Path) -> list[RunPaths]:
    return [RunPaths(path)] if RunPaths(path).exists() else []


def _age_key(run: RunPaths) -> tuple[float, str]:
    try:
        created = read_json(run.run_json).get("created")
    except DataError:
        created = None  # damaged or missing: the run still counts, by its folder's time
    if not isinstance(created, (int, float)):
        created = run.root.stat().st_mtime
    return float(created), run.run_id


def _suggestion(ref: str, runs: list[RunPaths]) -> str:
    close = difflib.get_close_matches(
        ref, [run.run_id for run in runs], n=_NUM_SUGGESTIONS, cutoff=0.5
    )
    if close:
        return f"Did you mean {', '.join(visible_text(name) for name in close)}?"
    if not runs:
        return _NO_RUNS
    return f"List the runs with: vtk runs list --runs-dir {shlex.quote(str(runs[0].root.parent))}"
