"""What each alert watches, what it usually means, and what to do: one row a rule."""

import shlex
from dataclasses import dataclass
from typing import Final

from tui.facts import RESUMABLE_STAGES, current_beta
from tui.source import Snapshot
from vtk.format import format_number
from vtk.runs.snapshot import Alert


@dataclass(frozen=True, slots=True)
class Advice:
    """One rule: the metric to look at, what it means, and a command or a key that mends it.

    `command` may hold {run}, {stage} and {beta}, a coefficient nearer zero. The value of an alert
    is in the metric's unit, unless `is_of_metric` says that it is a ratio, a count or an age.
    """

    metric: str | None
    meaning: str
    command: str
    is_of_metric: bool = True


_SHOW: Final = "vtk runs show {run}"
_STOP: Final = "vtk runs stop {run}"
_RESUME: Final = "vtk train-{stage} --resume {run}"
_REPEAT: Final = "repeat its vtk eval command, which goes on; vtk runs show {run}"
_LESS_BETA: Final = "press c, then b, and set beta to {beta}"
RULES: Final[dict[str, Advice]] = {
    "kl_budget_step": Advice(
        "kl/signed", "one step carried the policy far from the bias model", _LESS_BETA
    ),
    "kl_budget_run": Advice(
        "kl/signed", "the policy runs away from the bias model: the repulsion wins", _LESS_BETA
    ),
    "kl_return": Advice(
        "kl/signed",
        "the policy has come back to the bias model: it describes again",
        "press c, then b, and set a beta further below 0",
    ),
    "grad_norm_max": Advice("optim/grad_norm", "a step pulled too hard", _SHOW),
    "grad_spike_ratio": Advice(
        "optim/grad_norm", "a step pulled far harder than usual", _SHOW, is_of_metric=False
    ),
    "nonfinite": Advice(
        "loss/total", "loss or gradient was not a number; the weights were left alone", _STOP,
        is_of_metric=False,
    ),
    "logp_gap_max": Advice(
        "sampling/logp_gap_max", "what is trained on is not what was sampled from", _STOP
    ),
    "entropy_floor": Advice(
        "entropy/mean", "the policy gives one answer to everything", _LESS_BETA
    ),
    "reward_floor": Advice("reward/mean", "the reward has collapsed", _STOP),
    "format_floor": Advice(
        "reward/format", "answers have lost their form, and with it their reward", _LESS_BETA
    ),
    "truncated_frac_max": Advice(
        "completion/truncated_frac", "completions run into the length limit unanswered", _SHOW
    ),
    "zero_variance_frac_max": Advice(
        "reward/zero_variance_frac", "all completions of a group earn the same: nothing is learned",
        _SHOW,
    ),
    "memory_creep": Advice(
        "gpu/memory_gib", "memory grows from step to step and will run out",
        "press c, then k: a checkpoint now costs less than a crash later",
    ),
    "silent": Advice(
        "perf/step_s", "its process hangs, or its disk does", _STOP, is_of_metric=False
    ),
    "lost": Advice(
        "perf/step_s", "the process is gone; what it saved is good", _RESUME, is_of_metric=False
    ),
    "late_process": Advice(
        "perf/step_s", "one process keeps the others waiting", _SHOW, is_of_metric=False
    ),
    "out_of_memory": Advice(
        "gpu/peak_memory_gib", "a batch did not fit and was cut", _SHOW, is_of_metric=False
    ),
    "save_failed": Advice(
        None, "a checkpoint could not be written; the one before is as it was",
        "make room on the disk, then press c, then k: two failures in a row end the run",
        is_of_metric=False,
    ),
    "old_checkpoint_stays": Advice(
        None, "a checkpoint that is no longer kept could not be deleted; the new one is whole",
        "look at the run's checkpoints folder: it is tried again after the next save",
        is_of_metric=False,
    ),
    "pixel_cache": Advice(
        None, "decoded clips are not kept on disk, so each is decoded anew",
        "free some space in the folder that vtk data cache names; the run goes on meanwhile",
        is_of_metric=False,
    ),
}  # fmt: skip
_UNKNOWN: Final = Advice(
    "reward/mean", "a rule that this dashboard does not know", _SHOW, is_of_metric=False
)


def advice_on(alert: Alert) -> Advice:
    """The row of an alert's rule."""
    return RULES.get(alert.rule, _UNKNOWN)


def command_for(alert: Alert, snapshot: Snapshot) -> str:
    """What to do, with the run's name in it."""
    run = snapshot.state.run_id if snapshot.paths is None else str(snapshot.paths.root)
    beta = current_beta(snapshot)
    halved = format_number(beta / 2) if beta else "0"
    command, stage = advice_on(alert).command, snapshot.state.stage
    if command == _RESUME and stage not in RESUMABLE_STAGES:
        command = _REPEAT if stage == "eval" else _SHOW
    return command.format(run=shlex.quote(run), beta=halved, stage=stage)
