"""The library's settings for a run: what it is told means what ours say."""

from pathlib import Path

import pytest
import torch
from transformers import get_scheduler

from vtk.config.loading import load_config
from vtk.train.arguments import training_arguments

STEPS, WARM_UP = 6, 2


@pytest.mark.parametrize("schedule", ["linear", "constant", "cosine"])
def test_every_schedule_warms_up(schedule: str, tmp_path: Path) -> None:
    told = {"optim.schedule": schedule, "optim.warmup_steps": WARM_UP, "optim.num_steps": STEPS}
    named = {"model.path": "tiny", "data.dataset": "clevrer-mini"}
    config = load_config("grpo", None, None, named | told, environ={}).config
    arguments = training_arguments(config, tmp_path)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    assert arguments.warmup_steps == WARM_UP
    follower = get_scheduler(arguments.lr_scheduler_type, optimizer, WARM_UP, STEPS)
    rates = []
    for _ in range(STEPS):
        rates += follower.get_last_lr()
        optimizer.step()
        follower.step()
    assert rates[: WARM_UP + 1] == [0.0, 0.5, 1.0]
    assert (rates[-1] == 1.0) == (schedule == "constant")
