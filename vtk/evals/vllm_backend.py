"""vLLM behind the evaluation's protocol: one offline engine a process, on that process's GPU.

Several GPUs are several processes (`--num-processes`), each with an engine (`vtk.evals.vllm_inputs`
has what it is called with).

Older versions drop the metadata of a Qwen2.5-VL video, and with it the times of the frames; this
was read in the sources of 0.22 to 0.30 and is not so in 0.31 (vllm-project/vllm:
vllm/model_executor/models/qwen2_5_vl.py).
"""

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from packaging.version import Version

from vtk.config.sections import ModelSettings
from vtk.errors import DataError, Interrupted, MissingEnvironmentError
from vtk.evals.backends import Prompt
from vtk.evals.settings import EvaluationSettings
from vtk.evals.vllm_inputs import (
    VLLM,
    engine_arguments,
    group_px,
    longest_tokens,
    request_of,
    sampling_arguments,
)
from vtk.models.loader import is_adapter, load_policy, weights_hash
from vtk.rollout.generate import Rollout, build_rollout, end_token_ids
from vtk.rollout.prompts import build_prompt_text
from vtk.video.frames import TEMPORAL_PATCH_FRAMES, Clip

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

FIRST_VERSION: Final = Version("0.31")
BATCH_SIZE: Final = 64
"""Questions handed over at once; the engine batches them itself, and is only fast with many."""

_INSTALL: Final = (
    "On a machine with a CUDA GPU: pip install 'videothinker-toolkit[vllm]'; or leave "
    "--backend vllm away."
)
_LAUNCHER_VARIABLES: Final = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_ENGINE_VARIABLES: Final = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "VLLM_NO_USAGE_STATS": "1"}


def require_vllm() -> str:
    """The version of vLLM that is installed.

    Raises:
        MissingEnvironmentError: None is, an older one is, or there is no CUDA GPU.
    """
    import torch

    try:
        found = version(VLLM)
    except PackageNotFoundError:
        raise MissingEnvironmentError(
            "--backend vllm needs vLLM, which is not here", _INSTALL
        ) from None
    if Version(found) < FIRST_VERSION:
        raise MissingEnvironmentError(
            f"vLLM {found} drops the times of a clip's frames; {FIRST_VERSION} keeps them", _INSTALL
        )
    if not torch.cuda.is_available():
        raise MissingEnvironmentError("--backend vllm needs a CUDA GPU", _INSTALL)
    return found


class VllmBackend:
    """Completions by one vLLM engine.

    Args:
        engine: A `vllm.LLM`.
        make_sampling: `vllm.SamplingParams`.
        processor: The model's own.
        end_ids: Tokens that end a completion.
        max_tokens: What the engine takes of prompt and completion together.
    """

    def __init__(
        self,
        engine: Any,
        make_sampling: Callable[..., Any],
        processor: "Qwen2_5_VLProcessor",
        end_ids: frozenset[int],
        max_tokens: int,
    ) -> None:
        self.engine, self.make_sampling, self.processor = engine, make_sampling, processor
        self.end_ids, self.max_tokens = end_ids, max_tokens

    @property
    def packages(self) -> dict[str, str]:
        """The engine's version."""
        return {VLLM: version(VLLM)}

    @property
    def device(self) -> str:
        """The GPU of this process."""
        return "cuda:0"

    def prepare(
        self,
        words: str,
        template: str,
        clip: Clip,
        clip_key: Hashable,
        max_prompt_tokens: int | None,
    ) -> Prompt:
        """See `vtk.evals.backends.Backend.prepare`."""
        request = request_of(self.processor, build_prompt_text(words, template), clip)
        num_frames, _, height_px, width_px = clip.frames_FCHW.shape
        pairs = -(-num_frames // TEMPORAL_PATCH_FRAMES)
        side_px = group_px(self.processor)
        num_video_tokens = pairs * (height_px // side_px) * (width_px // side_px)
        text_ids = self.processor.tokenizer(request["prompt"])["input_ids"]
        num_tokens = len(text_ids) - 1 + num_video_tokens  # one stands for the whole clip
        bound = min(max_prompt_tokens or self.max_tokens, self.max_tokens - 1)
        if num_tokens > bound:
            raise DataError(
                f"the prompt has {num_tokens} tokens ({num_video_tokens} of video); at most "
                f"{bound} are accepted",
                "Lower --num-frames or --max-pixels, or raise prompt.max_prompt_tokens.",
            )
        return Prompt(request, num_video_tokens, clip_key)

    def answer(
        self,
        prompts: Sequence[Prompt],
        settings: EvaluationSettings,
        seeds: Sequence[int],
        should_stop: Callable[[], bool],
    ) -> Rollout:
        """See `vtk.evals.backends.Backend.answer`; asks `should_stop` before the batch only."""
        if should_stop():
            raise Interrupted("stopped between batches")
        sampling = [
            self.make_sampling(**sampling_arguments(settings, self.end_ids, seed)) for seed in seeds
        ]
        outputs = self.engine.generate([one.inputs for one in prompts], sampling, use_tqdm=False)
        rows = [list(drawn.token_ids) for output in outputs for drawn in output.outputs]
        if settings.sampling.is_greedy:
            rows = [row for row in rows for _ in range(settings.num_draws)]
        return build_rollout(rows, self.end_ids, self.processor)


def open_vllm(
    path: Path | str, model: ModelSettings, settings: Sequence[EvaluationSettings]
) -> tuple[VllmBackend, dict[str, Any]]:
    """Start an engine on this process's GPU.

    An adapter is added to its base's weights first, in a temporary folder, because the engine takes
    no adapters of the vision tower.

    Args:
        path: A model or adapter folder, or a hub id.
        model: Number format; the attention kernel is the engine's own choice.
        settings: Of everything that will be asked.

    Returns:
        The backend, and what identifies the computation: the weights' sha256, as transformers
        has them, their number format and the engine.

    Raises:
        MissingEnvironmentError: vLLM or a GPU is missing.
        DataError: The model cannot be loaded.
    """
    found = require_vllm()
    policy, processor = load_policy(path, model, merge_adapter=False)
    dtype = str(next(policy.parameters()).dtype).removeprefix("torch.")
    identity = {
        "weights_sha256": weights_hash(policy),
        "dtype": dtype,
        "attention": f"vllm {found}",
    }
    base = policy.get_base_model() if is_adapter(path) else policy
    end_ids = end_token_ids(base, processor)
    max_tokens = longest_tokens(settings, group_px(processor))
    del policy, base
    from vllm import LLM, SamplingParams

    with whole_model(path, model) as folder, engine_environment():
        engine = LLM(**engine_arguments(folder, dtype, max_tokens, settings[0].seed))
    return VllmBackend(engine, SamplingParams, processor, end_ids, max_tokens), identity


@contextmanager
def whole_model(path: Path | str, model: ModelSettings) -> Iterator[Path | str]:
    """The path of a model without adapters: itself, or a temporary folder with the sum.

    Args:
        path: A model or adapter folder, or a hub id.
        model: Its number format.
    """
    if not is_adapter(path):
        yield path
        return
    with TemporaryDirectory(prefix="vtk-merged-") as folder:
        merged, processor = load_policy(path, model)
        merged.save_pretrained(folder)
        processor.save_pretrained(folder)
        del merged
        yield Path(folder)


@contextmanager
def engine_environment() -> Iterator[None]:
    """What an engine finds in the environment when it starts its own process.

    That process is a fresh one, because a copy of this one would hold its connection to the other
    processes of the evaluation; nor may it take those for its own workers.
    """
    changed = (*_LAUNCHER_VARIABLES, *_ENGINE_VARIABLES)
    before = {name: os.environ[name] for name in changed if name in os.environ}
    for name in _LAUNCHER_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(_ENGINE_VARIABLES)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
        os.environ.update(before)
