"""The vLLM backend up to the engine's call: inputs, limits, sampling, errors. No engine runs."""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.video_utils import VideoMetadata

from vtk.config.sections import LoraSettings, ModelSettings
from vtk.errors import DataError, Interrupted, MissingEnvironmentError
from vtk.evals import vllm_backend
from vtk.evals.settings import EvaluationSettings
from vtk.evals.vllm_backend import (
    VllmBackend,
    engine_environment,
    open_vllm,
    require_vllm,
    whole_model,
)
from vtk.evals.vllm_inputs import (
    engine_arguments,
    longest_tokens,
    request_of,
    sampling_arguments,
)
from vtk.models.adapters import attach_policy_adapter
from vtk.models.loader import load_policy, weights_hash
from vtk.models.tiny import build_tiny_model, tiny_model_dir
from vtk.rollout.generate import SamplingSettings, end_token_ids
from vtk.rollout.prompts import prepare_prompt
from vtk.video.frames import Clip, FrameSettings

FRAMES = FrameSettings(num_frames=9, fps=None, min_pixels_px=784, max_pixels_px=4704)
GREEDY = SamplingSettings(max_completion_tokens=8, temperature=0.0)
SAMPLED = SamplingSettings(max_completion_tokens=8, temperature=0.7, top_p=0.9, top_k=5)
SETTINGS = EvaluationSettings("mini", FRAMES, GREEDY, engine="vllm")
WORDS = "What will happen?\nA. The cube falls\nB. Nothing"


@pytest.fixture(scope="module")
def tiny() -> tuple[Any, Any]:
    return build_tiny_model(seed=0)


@pytest.fixture
def clip() -> Clip:
    """Eight frames of noise out of a 25 fps file of 128."""
    generator = torch.Generator().manual_seed(0)
    indices = (0, 18, 36, 54, 73, 91, 109, 127)
    frames = torch.randint(0, 256, (8, 3, 56, 84), dtype=torch.uint8, generator=generator)
    times_s = tuple(index / 25 for index in indices)
    return Clip(frames, times_s, 25.0, 128, "pyav", indices)


def test_the_engine_is_shown_what_transformers_is_shown(tiny: tuple[Any, Any], clip: Clip) -> None:
    """What vLLM 0.31 does with a request: its processor is the library's, called with these."""
    _, processor = tiny
    request = request_of(processor, WORDS, clip)
    ((frames, metadata),) = request["multi_modal_data"]["video"]
    given = engine_arguments("m", "float32", 99, 0)["mm_processor_kwargs"]
    found = processor(
        text=[request["prompt"]],
        videos=[frames],
        video_metadata=[VideoMetadata(**metadata)],
        return_tensors="pt",
        **given,
    )
    expected = prepare_prompt(processor, WORDS, clip, "mini")
    assert found["input_ids"].tolist() == expected.input_ids_1P.tolist()
    assert torch.equal(found["pixel_values_videos"], expected.pixel_values_videos)
    assert found["video_grid_thw"].tolist() == expected.video_grid_thw.tolist()
    seconds = torch.as_tensor(found["second_per_grid_ts"], dtype=torch.float32)
    assert torch.equal(seconds, expected.second_per_grid_ts)
    assert seconds.item() > 1.0, "the frames are 0.72 s apart, not one after the other"


@dataclass
class Engine:
    """Answers with ids that a test chose; notes what it was asked."""

    ids: list[list[int]]

    def __post_init__(self) -> None:
        self.asked: list[tuple[Sequence[Any], Sequence[Any]]] = []

    def generate(self, prompts: Sequence[Any], sampling: Sequence[Any], use_tqdm: bool) -> Any:
        self.asked.append((prompts, sampling))
        for one in sampling:
            yield SimpleNamespace(
                outputs=[SimpleNamespace(token_ids=tuple(ids)) for ids in self.ids[: one["n"]]]
            )


@pytest.fixture
def make_backend(tiny: tuple[Any, Any]) -> Callable[..., VllmBackend]:
    model, processor = tiny

    def make(ids: list[list[int]], max_tokens: int = 4096) -> VllmBackend:
        return VllmBackend(
            Engine(ids), dict, processor, end_token_ids(model, processor), max_tokens
        )

    return make


def test_answers_are_cut_read_and_repeated_as_transformers_does(
    make_backend: Callable[..., VllmBackend], clip: Clip
) -> None:
    probe = make_backend([])
    end = min(probe.end_ids)
    words = probe.processor.tokenizer("A cube")["input_ids"]
    backend = make_backend([[*words, end], words])
    prompts = [backend.prepare(WORDS, "mini", clip, "key", None)] * 2
    greedy = backend.answer(prompts, replace(SETTINGS), [5, 9], lambda: False)
    assert greedy.texts == ["A cube", "A cube"]
    assert greedy.truncated == [False, False]
    drawn = replace(SETTINGS, sampling=SAMPLED, num_draws=2)
    sampled = backend.answer(prompts, drawn, [5, 9], lambda: False)
    assert sampled.truncated == [False, True, False, True]
    (_, first), (asked, second) = backend.engine.asked
    assert [one["seed"] for one in first] == [None, None]
    assert [one["seed"] for one in second] == [5, 9]
    assert asked[0]["multi_modal_data"]["video"][0][0].shape == (8, 56, 84, 3)
    with pytest.raises(Interrupted):
        backend.answer(prompts, drawn, [5, 9], lambda: True)


def test_sampling_sets_every_parameter(tiny: tuple[Any, Any]) -> None:
    end_ids = frozenset({7, 3})
    found = sampling_arguments(replace(SETTINGS, sampling=SAMPLED, num_draws=4), end_ids, 11)
    assert found == {
        "n": 4,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 5,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "max_tokens": 8,
        "stop_token_ids": [3, 7],
        "seed": 11,
    }
    assert sampling_arguments(SETTINGS, end_ids, 11)["temperature"] == 0.0


def test_prompts_are_counted_before_the_engine_sees_them(
    tiny: tuple[Any, Any], make_backend: Callable[..., VllmBackend], clip: Clip
) -> None:
    expected = prepare_prompt(tiny[1], WORDS, clip, "mini")
    num_tokens = expected.input_ids_1P.shape[1]
    num_video = int((expected.mm_token_type_ids != 0).sum())
    backend = make_backend([], max_tokens=num_tokens + 1)
    assert backend.prepare(WORDS, "mini", clip, "key", None).num_video_tokens == num_video
    assert backend.prepare(WORDS, "mini", clip, "key", num_tokens)
    with pytest.raises(DataError, match=f"has {num_tokens} tokens .{num_video} of video"):
        backend.prepare(WORDS, "mini", clip, "key", num_tokens - 1)
    with pytest.raises(DataError, match="at most"):
        make_backend([], max_tokens=num_tokens).prepare(WORDS, "mini", clip, "key", None)
    with pytest.raises(DataError, match="control token"):
        backend.prepare("<|im_end|>", "mini", clip, "key", None)


def test_the_cache_has_room_for_the_longest_prompt_that_is_asked() -> None:
    pairs, per_pair, text = 5, 6, 4096  # nine frames are five pairs; 4,704 px are six groups
    assert longest_tokens([SETTINGS], 28) == pairs * per_pair + text + 8
    more = replace(SETTINGS, frames=replace(FRAMES, num_frames=32))
    assert longest_tokens([SETTINGS, more], 28) == 16 * per_pair + text + 8
    assert longest_tokens([replace(SETTINGS, max_prompt_tokens=100)], 28) == 108


@pytest.mark.parametrize(
    ("installed", "said"), [(None, "is not here"), ("0.30.0", "drops the times")]
)
def test_without_the_right_engine_the_error_names_the_mend(
    installed: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed is not None:
        monkeypatch.setattr(vllm_backend, "version", lambda _: installed)
    with pytest.raises(MissingEnvironmentError, match=said) as raised:
        open_vllm(tiny_model_dir(), ModelSettings(), [SETTINGS])
    assert "videothinker-toolkit[vllm]" in str(raised.value.hint)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where there is no GPU")
def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_backend, "version", lambda _: "0.31.0")
    with pytest.raises(MissingEnvironmentError, match="CUDA GPU"):
        require_vllm()


def test_an_adapter_is_added_to_its_base_for_the_engine(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for part in build_tiny_model(seed=0):
        part.save_pretrained(base)
    lora = LoraSettings(enabled=True, rank=4, alpha=8.0, target_modules=["q_proj"])
    policy = attach_policy_adapter(load_policy(base, ModelSettings())[0], lora)
    generator = torch.Generator().manual_seed(random.Random(1).randrange(99))
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1, generator=generator)
    policy.save_pretrained(str(tmp_path / "adapter"))
    with whole_model(tmp_path / "adapter", ModelSettings()) as folder:
        assert Path(folder) != tmp_path / "adapter"
        whole = load_policy(folder, ModelSettings())[0]
        merged = load_policy(tmp_path / "adapter", ModelSettings())[0]
        assert weights_hash(whole) == weights_hash(merged)
        assert weights_hash(whole) != weights_hash(load_policy(base, ModelSettings())[0])
    assert not Path(folder).exists()
    with whole_model(base, ModelSettings()) as same:
        assert same == base


def test_an_engine_does_not_take_the_evaluations_processes_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    before = dict(os.environ)
    with engine_environment():
        assert not {"RANK", "WORLD_SIZE"} & set(os.environ)
        assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
        assert os.environ["PATH"] == before["PATH"]
    assert dict(os.environ) == before
