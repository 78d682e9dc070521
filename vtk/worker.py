"""The only process that trains: `python -m vtk.worker RUN_DIR`.

The run directory is its whole argument. It goes on from the newest intact checkpoint if there is
one, and ends with the exit code of `vtk.errors`; what happened is in the event log, tracebacks are
on stderr. SIGTERM and SIGINT make it save and leave (75 and 130); a second one ends it at once.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.errors import ConfigError, GuardStop, Interrupted, UserInterrupt, VtkError
from vtk.runs.files import read_json
from vtk.runs.lateness import LateWatch
from vtk.runs.ranks import RankReporter, clear_reports, fault_of_peers
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter, refuse_living_owner

if TYPE_CHECKING:
    from vtk.train.callbacks import StopSignal
    from vtk.train.checkpoint import Damage

_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}
_STOPS = (Interrupted, UserInterrupt, GuardStop)


def main(arguments: Sequence[str]) -> int:
    """Run one attempt at a run.

    Args:
        arguments: The run's directory.

    Returns:
        The process's exit code.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from vtk.train.callbacks import StopSignal

    with StopSignal() as stop:
        try:
            if len(arguments) != 1:
                raise ConfigError("the worker takes one argument, a run directory")
            _work(RunPaths(Path(arguments[0])), stop)
        except VtkError as error:
            hint = f"\nHint: {error.hint}" if error.hint else ""
            sys.stderr.write(f"{type(error).__name__}: {error.message}{hint}\n")
            return error.exit_code
    return 0


def _work(paths: RunPaths, stop: "StopSignal") -> None:
    import torch
    from accelerate import PartialState

    from vtk.system.memory import is_out_of_memory
    from vtk.train.inputs import TrainingInputs, read_config
    from vtk.train.memory import memory_exhausted
    from vtk.train.stages import Attempt, run_attempt

    state = PartialState(cpu=not torch.cuda.is_available())
    config = read_config(paths)
    inputs = TrainingInputs.from_run(read_json(paths.run_json))
    step, damaged = _resume_point(paths, state)
    log = EventWriter(paths, step) if state.is_main_process else None
    is_alone = state.num_processes == 1
    ranks = nullcontext() if is_alone else RankReporter(paths, state.process_index)
    with log or nullcontext() as events, ranks as report:
        if events is not None:
            _report_damage(events, damaged)
        watch = nullcontext() if events is None or is_alone else LateWatch(paths, events.emit)
        try:
            with watch:
                run_attempt(Attempt(paths, config, inputs, step, events, stop, report))
        except VtkError as error:
            _finish(events, error)
            raise
        except (RuntimeError, MemoryError) as error:
            fault: VtkError | None = None
            if is_out_of_memory(error):
                fault = memory_exhausted(error, config)
            elif not is_alone:  # what a collective raises once another process is gone
                fault = fault_of_peers(paths, state.process_index)
            if fault is None:
                raise
            _finish(events, fault)
            raise fault from error
        if events is not None:
            events.finish("finished")


def _resume_point(paths: RunPaths, state: Any) -> tuple[int | None, "list[Damage]"]:
    """The step to go on from, found on the main process and told to all."""
    from accelerate.utils import broadcast_object_list

    from vtk.train.checkpoint import CheckpointStore

    found: list[Any] = [(None, [])]
    if state.is_main_process:
        refuse_living_owner(paths)  # looking for checkpoints tidies up what a save left behind
        clear_reports(paths)
        found = [CheckpointStore(paths, num_kept=1).newest_good()]
    broadcast_object_list(found)
    step, damaged = found[0]
    return step, damaged


def _report_damage(events: EventWriter, damaged: "list[Damage]") -> None:
    for each in damaged:
        events.emit(
            "alert",
            step=None,
            rule="checkpoint_damaged",
            message=f"{each.path.name} is not used: {each.reason}",
            value=None,
            threshold=None,
        )


def _finish(events: EventWriter | None, error: VtkError) -> None:
    """Record how the attempt ended, with what mends it."""
    if events is not None:
        events.emit(
            "run_finished",
            status="stopped" if isinstance(error, _STOPS) else "failed",
            error_kind=type(error).__name__,
            message=error.message,
            hint=error.hint,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
