"""What a run will need, before it starts: memory and time from the sizes of its model and its step.

Nothing is loaded: sizes are read from config.json and from the headers of safetensors files. Exact
are weights, gradients, optimizer, reference and arithmetic; what autograd keeps is counted layer by
layer. How fast the machine is, is what an earlier run of the same model measured on it
(`vtk.train.measured`), or else an assumption.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from vtk.config.schema import VtkConfig
from vtk.train.inputs import TrainingInputs
from vtk.train.model_sizes import read_sizes
from vtk.train.needs import has_trained_tower, memory_gib, num_trained, step_shape
from vtk.train.speed import machine_speed
from vtk.train.work import step_flop, weights_read

_BYTES_PER_WEIGHT = 2  # bfloat16, as far as the time of reading them goes


@dataclass(frozen=True, slots=True)
class Estimate:
    """Needs of one process and one step.

    Attributes:
        num_parameters: Of the policy.
        num_trained_parameters: Those that get an update.
        memory_gib: By kind, and in all: of the GPU, or without one of the process.
        tokens_per_step: Prompt and completion tokens that one process computes, at full length.
        tflop_per_step: Arithmetic of one process.
        counted_step_s: Seconds of one step from the counts and the machine's assumed speed.
        step_s: The same, corrected by what an earlier run measured.
        run_s: Seconds of the run.
        machine: What identifies the machine.
        assumed: What the seconds rest on, in words.
    """

    num_parameters: int
    num_trained_parameters: int
    memory_gib: dict[str, float]
    tokens_per_step: int
    tflop_per_step: float
    counted_step_s: float
    step_s: float
    run_s: float
    machine: str
    assumed: str

    def as_json(self) -> dict[str, Any]:
        """The estimate as plain data."""
        return asdict(self)

    def corrected(self, factor: float, source: str) -> Self:
        """The same with other times.

        Args:
            factor: What was measured over what had been counted.
            source: Where that was, in words.
        """
        step_s = self.counted_step_s * factor
        num_steps = self.run_s / self.step_s
        return replace(self, step_s=step_s, run_s=num_steps * step_s, assumed=source)


def estimate(config: VtkConfig, inputs: TrainingInputs, num_processes: int = 1) -> Estimate | None:
    """What one process of a run needs; None for a model whose sizes are not known.

    Args:
        config: The run's settings.
        inputs: Its models, pinned.
        num_processes: That weights and optimizer are cut over, if the run shards them.

    Raises:
        DataError: A weights file is damaged.
    """
    sizes = read_sizes(inputs.model)
    if sizes is None:
        return None
    optim, speed = config.optim, machine_speed()
    step = step_shape(config, sizes, optim.prompts_per_device * optim.accumulation_steps)
    flop = step_flop(sizes, step, "trained" if has_trained_tower(config) else "frozen")
    weights = weights_read(sizes, step)
    if inputs.reference is None:
        del flop["score"]
    if config.model.gradient_checkpointing:
        flop["update"] *= 4 / 3  # the forward once more
    step_s = sum(
        max(part / speed.flop_per_s, _BYTES_PER_WEIGHT * weights[name] / speed.bytes_per_s)
        for name, part in flop.items()
    )
    return Estimate(
        sizes.num_parameters,
        num_trained(config, sizes),
        memory_gib(config, inputs, sizes, speed.has_gpu, num_processes),
        step.num_tokens,
        sum(flop.values()) / 1e12,
        step_s,
        step_s,
        step_s * optim.num_steps,
        speed.machine,
        speed.source,
    )
