"""How a pass is cut: halves, prompts before completions, every row once; and what is told."""

import pytest
import torch

from vtk.config.loading import load_config
from vtk.errors import MemoryExhausted
from vtk.system.memory import is_out_of_memory
from vtk.train.memory import memory_exhausted
from vtk.train.microbatch import MicroBatch


def test_prompts_are_halved_before_completions() -> None:
    cut = MicroBatch(num_prompts=5, num_generations=4)
    told = [str(cut)]
    while cut.halve():
        told.append(str(cut))
    assert told == [
        "5 prompts",
        "3 prompts",
        "2 prompts",
        "1 prompt",
        "2 completions",
        "1 completion",
    ]
    assert not cut.halve()


@pytest.mark.parametrize("num_generations", [2, 3, 8])
@pytest.mark.parametrize("num_prompts", [1, 2, 5])
def test_pieces_hold_every_row_once_and_no_half_prompts(
    num_prompts: int, num_generations: int
) -> None:
    cut = MicroBatch(num_prompts, num_generations)
    while True:
        for present in range(1, num_prompts + 1):  # others may have been skipped
            pieces = cut.pieces(present)
            rows = [row for first, last in pieces for row in range(first, last)]
            assert rows == list(range(present * num_generations))
            assert all(last - first <= cut.num_rows for first, last in pieces)
            for first, last in pieces:
                is_whole = first % num_generations == 0 and last % num_generations == 0
                is_one_prompt = first // num_generations == (last - 1) // num_generations
                assert is_whole or is_one_prompt
        if not cut.halve():
            break


def test_real_allocation_failures_are_known() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(refused.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("out of memory."))


def test_the_end_names_the_need_and_the_settings() -> None:
    config = load_config("grpo", "tiny", environ={}).config
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**50, dtype=torch.uint8)
    ended = memory_exhausted(refused.value, config, "with 1 completion at once")
    assert isinstance(ended, MemoryExhausted)
    assert "out of memory with 1 completion at once: the process held up to" in ended.message
    assert "asked for 1.0 PiB more" in ended.message or "asked for 1024" in ended.message
    assert f"video.max_pixels_px (now {config.video.max_pixels_px})" in str(ended.hint)
    assert "--lora" in str(ended.hint)
