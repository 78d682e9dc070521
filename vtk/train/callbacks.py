"""What happens between steps: checkpoints, evaluation, the control mailbox, a stop.

All of it is decided on the main process and told to the others, so that no process saves, pauses or
stops alone.
"""

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list, gather_object
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from typing_extensions import override

from vtk.errors import Interrupted, UserInterrupt, VtkError
from vtk.runs.control import Request, answer, pending
from vtk.runs.store import RunPaths, resume_hint
from vtk.system.gpu import GpuMonitor

if TYPE_CHECKING:
    from vtk.train.trainer import CDPOTrainer

GPU_EVERY_STEPS = 10
_PAUSE_POLL_S = 0.25


class StopSignal:
    """Turns SIGTERM and SIGINT into a wish to stop; the second one ends the process at once.

    Use as a context manager on the main thread.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def is_set(self) -> bool:
        """Whether a signal came."""
        return self.received is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = number
        for each in self._previous:
            signal.signal(each, signal.SIG_DFL)


@dataclass(frozen=True, slots=True)
class Decision:
    """What all processes do at one step boundary."""

    save: bool = False
    evaluate: bool = False
    stop: VtkError | None = None


class StepBoundary(TrainerCallback):
    """Acts between the steps of one trainer.

    Args:
        trainer: The trainer, which is also where beta is changed.
        paths: The run, with its mailbox.
        stop: The process's stop signal.
        evaluate: Evaluates the policy and writes the result; None if the run does not.
        gpus: Read now and then on the main process; None elsewhere.
    """

    def __init__(
        self,
        trainer: "CDPOTrainer",
        paths: RunPaths,
        stop: StopSignal,
        evaluate: Callable[[int], None] | None,
        gpus: GpuMonitor | None,
    ) -> None:
        self.trainer, self.paths, self.stop_signal = trainer, paths, stop
        self.evaluate, self.gpus = evaluate, gpus
        self.stopped_by: VtkError | None = None
        self._is_paused = False
        self._decision = Decision()

    @override
    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make up for the evaluation of the last step, if a stop came before it."""
        step, every_steps = state.global_step, self.trainer.config.eval.every_steps
        if step > 0 and _is_due(step, every_steps) and self.trainer.evaluated_step != step:
            self._evaluate(step)

    @override
    def on_step_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Wait while the run is paused.

        Raises:
            VtkError: It was asked to stop meanwhile.
        """
        while self._is_paused:
            with self.trainer.reporter.phase("paused"):
                decision = self._wait(state.global_step)
            if decision.save:
                self.trainer.save_now("tell" if decision.stop is None else "raise")
            if decision.evaluate:
                self._evaluate(state.global_step)
            if decision.stop is not None:
                raise decision.stop

    @override
    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Decide what follows this step; the library saves and stops after the step is logged."""
        self._decision = decision = self._decide(state.global_step, is_after_step=True)
        control.should_save = control.should_save or decision.save
        control.should_training_stop = control.should_training_stop or decision.stop is not None
        self.stopped_by = decision.stop

    @override
    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """After a step is reported: evaluate, and say what the devices do."""
        step = state.global_step
        if self._decision.evaluate:
            self._evaluate(step)
        if self.gpus is not None and (step % GPU_EVERY_STEPS == 0 or step == 1):
            reading = self.gpus.latest
            if reading is not None:
                self.trainer.reporter.emit("gpu", **reading.as_event())

    def _evaluate(self, step: int) -> None:
        if self.evaluate is not None:
            self.evaluate(step)
            self.trainer.evaluated_step = step

    def _wait(self, step: int) -> Decision:
        """What to do, once there is something to do in a pause."""
        while True:
            time.sleep(_PAUSE_POLL_S)
            decision = self._decide(step, is_after_step=False)
            if decision != Decision() or not self._is_paused:
                return decision

    def _decide(self, step: int, *, is_after_step: bool) -> Decision:
        """The same decision on every process: the main process's, and any process's stop signal."""
        accelerator = self.trainer.accelerator
        received = [number for number in gather_object([self.stop_signal.received]) if number]
        shared: list[Any] = [None]
        if accelerator.is_main_process:
            asked = [self._act(request, step) for request in pending(self.paths)]
            decided = _merge([*asked, *map(self._stop_of, received)])
            if is_after_step:
                decided = self._with_what_is_due(decided, step)
            shared = [(decided, self.trainer.beta, self._is_paused)]
        broadcast_object_list(shared)
        decision: Decision
        decision, self.trainer.beta, self._is_paused = shared[0]
        return decision

    def _with_what_is_due(self, asked: Decision, step: int) -> Decision:
        """Add what the settings want after this step; a run that is done cannot be stopped."""
        config = self.trainer.config
        is_last = step >= config.optim.num_steps
        is_save_due = is_last or _is_due(step, config.checkpoint.every_steps)
        stop = None if is_last else asked.stop
        # One that is put off by a stop is made up for when the run goes on.
        is_evaluation_due = stop is None and _is_due(step, config.eval.every_steps)
        return Decision(
            save=asked.save or is_save_due,
            evaluate=asked.evaluate or is_evaluation_due,
            stop=stop,
        )

    def _act(self, request: Request, step: int) -> Decision:
        """Do what one request asks, record it, and take it out of the mailbox."""
        actions: dict[str, Callable[[Mapping[str, Any]], tuple[Decision, str]]] = {
            "checkpoint": lambda _: (Decision(save=True), "saving after this step"),
            "pause": self._pause,
            "resume": self._resume,
            "stop": lambda _: (self._stop(request.who), "saving and stopping"),
            "eval": self._ask_evaluation,
            "set_beta": self._set_beta,
        }
        decision, result = actions[request.action](request.args)
        answer(self.paths, request, result, step, self.trainer.reporter.emit)
        return decision

    def _stop_of(self, number: int) -> Decision:
        return Decision(save=True, stop=error_of_signal(number, self.paths, is_saved=True))

    def _stop(self, who: str) -> Decision:
        reason = f"stopped as {who} asked; the run is saved"
        return Decision(save=True, stop=Interrupted(reason, resume_hint(self.paths)))

    def _pause(self, _: Mapping[str, Any]) -> tuple[Decision, str]:
        self._is_paused = True
        return Decision(), "paused before the next step"

    def _resume(self, _: Mapping[str, Any]) -> tuple[Decision, str]:
        was_paused, self._is_paused = self._is_paused, False
        return Decision(), "going on" if was_paused else "was not paused"

    def _ask_evaluation(self, _: Mapping[str, Any]) -> tuple[Decision, str]:
        if self.evaluate is None:
            return Decision(), "refused: the run has no validation questions"
        return Decision(evaluate=True), "evaluating after this step"

    def _set_beta(self, args: Mapping[str, Any]) -> tuple[Decision, str]:
        old, new = self.trainer.beta, float(args["beta"])
        if new != 0 and self.trainer.reference is None:
            return Decision(), "refused: the run has no reference to measure against"
        self.trainer.beta = new
        return Decision(), f"beta {old:g} -> {new:g} from the next step"


def _is_due(step: int, every_steps: int) -> bool:
    return every_steps > 0 and step % every_steps == 0


def _merge(decisions: list[Decision]) -> Decision:
    return Decision(
        save=any(decision.save for decision in decisions),
        evaluate=any(decision.evaluate for decision in decisions),
        stop=next((decision.stop for decision in decisions if decision.stop is not None), None),
    )


def error_of_signal(number: int, paths: RunPaths, *, is_saved: bool) -> VtkError:
    """The error that a stop by a signal ends a run with.

    Args:
        number: The signal.
        paths: The run.
        is_saved: Whether a step was done, so that there is something to go on from.
    """
    what = "the run is saved" if is_saved else "before the first step was done"
    if number == signal.SIGINT:
        return UserInterrupt(f"interrupted; {what}", resume_hint(paths))
    name = signal.Signals(number).name
    return Interrupted(f"stopped by {name}; {what}", resume_hint(paths))
