"""What a user is told when memory ran out and nothing is left to try."""

import re
import resource
import sys

import torch

from vtk.config.schema import VtkConfig
from vtk.errors import MemoryExhausted
from vtk.format import format_bytes
from vtk.runs.files import read_json, write_json_atomic
from vtk.runs.store import RunPaths

_MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def keep_rows(paths: RunPaths, num_rows: int) -> None:
    """Let the next attempts begin with pieces of at most so many completions.

    Raises:
        VtkError: It cannot be written.
    """
    before = kept_rows(paths)
    least = num_rows if before is None else min(before, num_rows)
    write_json_atomic(paths.memory_json, {"micro_batch_rows": least})


def kept_rows(paths: RunPaths) -> int | None:
    """What `keep_rows` wrote, of any process of any attempt; None if no attempt had to."""
    if not paths.memory_json.is_file():
        return None
    return int(read_json(paths.memory_json)["micro_batch_rows"])


def memory_exhausted(error: BaseException, config: VtkConfig, done: str = "") -> MemoryExhausted:
    """The error that ends a run, with the measured need and the settings that lower it.

    Args:
        error: What the allocator said.
        config: The run's settings.
        done: What was tried before, as a clause.
    """
    first_line = str(error).strip().partition("\n")[0] or type(error).__name__
    tried = f" {done}" if done else ""
    return MemoryExhausted(
        f"out of memory{tried}: {measured_need(error)} ({first_line})", _hint(config)
    )


def measured_need(error: BaseException) -> str:
    """How much memory this process had, and how much more it asked for, in words."""
    if torch.cuda.is_available():
        peak, has = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
        had = f"the process held up to {format_bytes(peak)} of the GPU's {format_bytes(has)}"
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT_BYTES
        had = f"the process held up to {format_bytes(peak)}"
    asked = re.search(r"[Tt]ried to allocate ([\d.]+) ?(\w+)", str(error))
    if asked is None:
        return had
    is_plain = asked[2] == "bytes"
    more = format_bytes(int(asked[1])) if is_plain else f"{asked[1]} {asked[2]}"
    return f"{had} and asked for {more} more"


def _hint(config: VtkConfig) -> str:
    """The settings that lower a step's need most, with their values now."""
    model, video, rollout = config.model, config.video, config.rollout
    ways = [
        f"video.max_pixels_px (now {video.max_pixels_px})",
        f"video.num_frames (now {video.num_frames})",
        f"rollout.max_completion_tokens (now {rollout.max_completion_tokens})",
    ]
    others = [] if model.gradient_checkpointing else ["set model.gradient_checkpointing=true"]
    others += [] if config.lora.enabled else ["train an adapter with --lora"]
    others += [] if model.freeze_vision or config.lora.enabled else ["set model.freeze_vision=true"]
    return "; or ".join([f"Lower {', '.join(ways)}", *others]) + "."
