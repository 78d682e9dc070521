"""Optimizer, schedule and random state as safetensors and JSON: exact, and never a pickle."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vtk.errors import DataError
from vtk.runs.files import read_json
from vtk.train.checkpoint import write_json
from vtk.train.sharding import share_of

OPTIMIZER_FILE = "optimizer.safetensors"
SCHEDULE_FILE = "schedule.json"
PROGRESS_FILE = "progress.json"


def save_optimizer(folder: Path, moments: Mapping[str, Tensor]) -> None:
    """Write the state that the optimizer keeps for each parameter, from `whole_moments`."""
    save_file(dict(moments), folder / OPTIMIZER_FILE)


def load_optimizer(folder: Path, optimizer: Any) -> None:
    """Put back what `save_optimizer` wrote; the settings of the parameter groups stay.

    Raises:
        DataError: The state is of another model.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in load_file(folder / OPTIMIZER_FILE).items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    own = optimizer.state_dict()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if any(index >= len(weights) for index in state):
        raise DataError(
            f"{folder / OPTIMIZER_FILE} holds the state of {max(state) + 1} weights; "
            f"the model trains {len(weights)}"
        )
    state = {
        index: {name: share_of(value, weights[index]) for name, value in entry.items()}
        for index, entry in state.items()
    }
    optimizer.load_state_dict({"state": state, "param_groups": own["param_groups"]})


def save_schedule(folder: Path, scheduler: Any) -> None:
    """Write a learning-rate schedule's position."""
    state = {k: v for k, v in scheduler.state_dict().items() if _is_plain(v)}
    write_json(folder / SCHEDULE_FILE, state)


def load_schedule(folder: Path, scheduler: Any) -> None:
    """Put the schedule back to where it was, and its learning rate into the optimizer."""
    scheduler.load_state_dict(scheduler.state_dict() | read_json(folder / SCHEDULE_FILE))
    for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_last_lr(), strict=True):
        group["lr"] = rate


def save_random_state(folder: Path, rank: int) -> None:
    """Write the state of Python's, numpy's and torch's generators of one process."""
    version, internal, gauss_next = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.array(keys, np.int64))}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    save_file(tensors, folder / f"random_{rank}.safetensors")
    plain = {
        "python": [version, list(internal), gauss_next],
        "numpy": [name, position, has_gauss, cached],
    }
    write_json(folder / f"random_{rank}.json", plain)


def load_random_state(folder: Path, rank: int) -> None:
    """Put back what `save_random_state` wrote for this process.

    A process that the saved run did not have starts afresh: a step seeds all that it draws.
    """
    if not (folder / f"random_{rank}.json").is_file():
        return
    tensors = load_file(folder / f"random_{rank}.safetensors")
    plain = read_json(folder / f"random_{rank}.json")
    version, internal, gauss_next = plain["python"]
    random.setstate((version, tuple(internal), gauss_next))
    name, position, has_gauss, cached = plain["numpy"]
    keys = tensors["numpy"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, cached))
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])


def save_progress(folder: Path, progress: Mapping[str, Any]) -> None:
    """Write what else a resumed run needs: position, beta, guards, samples skipped."""
    write_json(folder / PROGRESS_FILE, dict(progress))


def load_progress(folder: Path) -> dict[str, Any]:
    """What `save_progress` wrote.

    Raises:
        DataError: It is not there.
    """
    return read_json(folder / PROGRESS_FILE)


def _is_plain(value: Any) -> bool:
    """Whether JSON carries a value exactly; schedules also hold functions, which do not change."""
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))
