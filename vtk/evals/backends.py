"""What makes the completions of an evaluation: one protocol, and transformers behind it.

A backend is given a clip and words and returns completions. It knows no question, no grade and no
file, so the same evaluation runs on any of them (`vtk.evals.vllm_backend` is the other one).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from vtk.evals.settings import EvaluationSettings
from vtk.rollout.embeddings import FeatureCache
from vtk.rollout.engines import ENGINES
from vtk.rollout.generate import Rollout, base_model
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.video.frames import Clip

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

MAX_FEATURE_CACHE_BYTES: Final = 512 * 2**20  # questions about one clip mostly stand together


@dataclass(frozen=True)
class Prompt:
    """One question in the form that a backend wants.

    Attributes:
        inputs: Known to the backend that made it.
        num_video_tokens: Visual tokens of the prompt, what frames and pixels come to.
        clip_key: The same for prompts about the same frames of the same clip.
    """

    inputs: Any
    num_video_tokens: int
    clip_key: Hashable


class Backend(Protocol):
    """What makes completions; its weights stay as they are while it is used."""

    @property
    def packages(self) -> Mapping[str, str]:
        """Versions of the libraries that compute, beyond those that every evaluation records."""

    @property
    def device(self) -> str:
        """Where it computes, for people."""

    def prepare(
        self,
        words: str,
        template: str,
        clip: Clip,
        clip_key: Hashable,
        max_prompt_tokens: int | None,
    ) -> Prompt:
        """One question about one clip.

        Args:
            words: What is asked.
            template: A key of `vtk.rollout.prompts.PROMPT_TEMPLATES`.
            clip: Frames that are already sampled and sized.
            clip_key: See `Prompt`.
            max_prompt_tokens: A longer prompt is an error; None for no bound.

        Raises:
            DataError: The prompt is too long, or holds a control token.
        """

    def answer(
        self,
        prompts: Sequence[Prompt],
        settings: EvaluationSettings,
        seeds: Sequence[int],
        should_stop: Callable[[], bool],
    ) -> Rollout:
        """`settings.num_draws` completions of each prompt, those of one prompt together.

        Args:
            prompts: At least one, from `prepare`.
            settings: How completions are drawn.
            seeds: Decide the draws, one a prompt, so that they are the same in any company.
            should_stop: Asked as often as the backend can.

        Raises:
            Interrupted: `should_stop` said yes.
        """


class TransformersBackend:
    """Completions by the library's own model classes, on whichever device the model is.

    Args:
        model: A Qwen2.5-VL model, bare or with adapters.
        processor: The model's own.
        max_feature_bytes: Host memory for the features of clips; 0 computes them for each question.
    """

    def __init__(
        self,
        model: Any,
        processor: "Qwen2_5_VLProcessor",
        max_feature_bytes: int = MAX_FEATURE_CACHE_BYTES,
    ) -> None:
        self.model, self.processor = model, processor
        self.features = FeatureCache(max_feature_bytes)

    @property
    def packages(self) -> dict[str, str]:
        """None: every evaluation records this library."""
        return {}

    @property
    def device(self) -> str:
        """Where the model's weights are."""
        return str(next(self.model.parameters()).device)

    def prepare(
        self,
        words: str,
        template: str,
        clip: Clip,
        clip_key: Hashable,
        max_prompt_tokens: int | None,
    ) -> Prompt:
        """See `Backend.prepare`."""
        inputs = prepare_prompt(self.processor, words, clip, template, max_prompt_tokens)
        return Prompt(inputs, int((inputs.mm_token_type_ids != 0).sum()), clip_key)

    def answer(
        self,
        prompts: Sequence[Prompt],
        settings: EvaluationSettings,
        seeds: Sequence[int],
        should_stop: Callable[[], bool],
    ) -> Rollout:
        """See `Backend.answer`; asks `should_stop` after every token."""
        pad_id = self.processor.tokenizer.pad_token_id
        is_shared = settings.engine != "reference"
        inputs = [self._with_features(one) if is_shared else one.inputs for one in prompts]
        return ENGINES[settings.engine](
            self.model,
            self.processor,
            collate_prompts(inputs, pad_id),
            settings.sampling,
            settings.num_draws,
            generator_seed=seeds,
            should_stop=should_stop,
        )

    def _with_features(self, one: Prompt) -> PromptInputs:
        return self.features.attach(base_model(self.model), one.inputs, one.clip_key)
