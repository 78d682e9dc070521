"""How a step's prompts are spread when a run goes on with other processes."""

from typing import Any

import pytest

from vtk.config.loading import load_config
from vtk.config.schema import VtkConfig
from vtk.errors import ConfigError
from vtk.train.batch import keep_batch, prompts_per_step


def _config(prompts: int, passes: int) -> VtkConfig:
    given: dict[str, Any] = {
        "optim.prompts_per_device": prompts,
        "optim.accumulation_steps": passes,
    }
    return load_config("grpo", "tiny", None, given, environ={}).config


@pytest.mark.parametrize("num_processes", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize(("prompts", "passes"), [(1, 12), (3, 4), (5, 2), (12, 1)])
def test_the_batch_stays_and_no_pass_grows(prompts: int, passes: int, num_processes: int) -> None:
    spread = keep_batch(_config(prompts, passes), 12, num_processes)
    assert prompts_per_step(spread, num_processes) == 12
    assert spread.optim.prompts_per_device <= prompts


def test_a_spread_that_fits_is_left_alone() -> None:
    config = _config(2, 3)
    assert keep_batch(config, 12, 2) is config


def test_everything_else_stays() -> None:
    config = _config(2, 3)
    spread = keep_batch(config, 12, 1)
    changed = {"prompts_per_device": 2, "accumulation_steps": 6}
    assert spread.model_dump() == config.model_dump() | {
        "optim": config.optim.model_dump() | changed
    }


def test_processes_that_cannot_share_it_are_refused() -> None:
    with pytest.raises(ConfigError, match="6 prompts, which 4 processes") as refused:
        keep_batch(_config(1, 3), 6, 4)
    assert refused.value.hint == "Go on with --num-processes 1, 2, 3 or 6."
