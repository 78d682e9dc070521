"""How the prompts of one optimizer step are spread over processes and backward passes.

The spread changes what a step costs, not what it computes: draws follow a question's place in the
run and every loss is a mean over the whole batch. So a run may go on with another number of
processes, as long as these can share its batch equally.
"""

from vtk.config.schema import VtkConfig
from vtk.errors import ConfigError


def prompts_per_step(config: VtkConfig, num_processes: int) -> int:
    """Prompts of one optimizer step on all processes together."""
    return config.optim.prompts_per_device * config.optim.accumulation_steps * num_processes


def keep_batch(config: VtkConfig, num_prompts: int, num_processes: int) -> VtkConfig:
    """The settings with which this many processes make a step of this many prompts.

    Args:
        config: The run's settings; at most its `optim.prompts_per_device` go through one pass.
        num_prompts: Prompts of one optimizer step, as the run began.
        num_processes: All processes.

    Raises:
        ConfigError: The processes cannot share the prompts equally.
    """
    if prompts_per_step(config, num_processes) == num_prompts:
        return config
    share, rest = divmod(num_prompts, num_processes)
    if rest:
        fitting = [str(n) for n in range(1, num_prompts + 1) if num_prompts % n == 0]
        raise ConfigError(
            f"a step of this run has {num_prompts} prompts, which {num_processes} processes cannot "
            "share equally",
            f"Go on with --num-processes {', '.join(fitting[:-1])} or {fitting[-1]}."
            if len(fitting) > 1
            else "Go on with --num-processes 1.",
        )
    at_once = config.optim.prompts_per_device
    prompts = next(n for n in range(min(at_once, share), 0, -1) if share % n == 0)
    spread = {"prompts_per_device": prompts, "accumulation_steps": share // prompts}
    optim = config.optim.model_copy(update=spread)
    return config.model_copy(update={"optim": optim})
