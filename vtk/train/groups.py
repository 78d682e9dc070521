"""From questions to scored groups: decode, prompt, sample, grade, advantages. No gradients here.

Shape letters: B prompts, G completions per prompt, N = B·G rows in prompt-major order.

A question whose clip or prompt cannot be used is skipped: reported, and replaced by nothing, so the
others are the same as they would have been.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vtk.config.schema import VtkConfig
from vtk.data.sample import VideoSample
from vtk.errors import DataError
from vtk.mini.language import classify_strategy
from vtk.rollout.embeddings import FeatureCache, has_frozen_tower
from vtk.rollout.engines import ENGINES
from vtk.rollout.generate import Rollout, SamplingSettings, base_model, end_token_ids
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.rollout.token_texts import TokenTexts
from vtk.runs.token_columns import pack_token_chars
from vtk.scoring.answers import join_letters
from vtk.scoring.rewards import Grade, grade
from vtk.train.dataset import derive_seed
from vtk.train.forward import ScoringBatch, pad_completions
from vtk.train.guards import Alert
from vtk.train.losses import group_advantages
from vtk.train.microbatch import MicroBatch
from vtk.train.prefetch import Prefetch
from vtk.train.reporting import Reporter
from vtk.train.thumbnails import Thumbnails
from vtk.video.cache import ClipKey, clip_key, open_clips
from vtk.video.frames import FrameSettings

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

MAX_CLIP_CACHE_BYTES = 512 * 2**20
MAX_FEATURE_CACHE_BYTES = 2 * 2**30  # about 550 clips of Qwen2.5-VL-3B at 935 visual tokens


@dataclass(frozen=True, slots=True)
class Skipped:
    """A question that could not be asked, and why."""

    sample_id: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Groups:
    """Completions of B prompts, graded.

    Attributes:
        batch: What the policy and its reference score.
        advantages_N: Each completion's reward relative to its group.
        rows: What is recorded of each completion; the trainer adds losses and KL.
        sampled_logps_NL: What each token's log-probability was when it was drawn, under the
            temperature alone; None if the engine does not say.
    """

    batch: ScoringBatch
    advantages_N: Tensor
    rows: list[dict[str, Any]]
    sampled_logps_NL: Tensor | None


class _Prepared(NamedTuple):
    """What can be made of a question ahead of time."""

    prompt: PromptInputs
    timestamps_s: tuple[float, ...]
    clip_key: ClipKey
    frames: str | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question ready to be put to the policy."""

    sample: VideoSample
    place: int
    prompt: PromptInputs
    timestamps_s: tuple[float, ...]
    clip_key: ClipKey
    frames: str | None


class GroupCollector:
    """Makes scored groups with a policy.

    Args:
        processor: The policy's own.
        config: The run's settings.
        reporter: Told of the phases.
        should_stop: Asked after every token; a yes abandons the groups.
        frames_dir: Where small pictures of the clips' frames are kept; None keeps none.
    """

    def __init__(
        self,
        processor: "Qwen2_5_VLProcessor",
        config: VtkConfig,
        reporter: Reporter,
        should_stop: Callable[[], bool],
        frames_dir: Path | None = None,
    ) -> None:
        self.processor, self.config = processor, config
        self.reporter, self.should_stop = reporter, should_stop
        self.frames = frame_settings(config)
        self.sampling = sampling_settings(config)
        self.micro_batch = MicroBatch(
            config.optim.prompts_per_device, config.rollout.num_generations
        )
        self.clips = open_clips(MAX_CLIP_CACHE_BYTES, config.video.cache_gib)
        self.prefetch = Prefetch(self._prepare)
        self.features = FeatureCache(MAX_FEATURE_CACHE_BYTES)
        self.thumbnails = Thumbnails(frames_dir, config.record)
        self.token_texts = TokenTexts(processor.tokenizer)

    def collect(
        self,
        policy: Any,
        samples: Sequence[VideoSample],
        places: Sequence[int],
        upcoming: Sequence[VideoSample] = (),
    ) -> tuple[Groups | None, list[Skipped]]:
        """Ask each question G times and grade the answers.

        Args:
            policy: The model to sample from, on its device.
            samples: The questions.
            places: Each one's place in the run, which decides its draws and names its group.
            upcoming: The questions of the next call, prepared while the policy works on these.

        Returns:
            The groups (None if every question was skipped), and the questions skipped.

        Raises:
            Interrupted: A stop was asked for; nothing of the groups is kept.
        """
        with self.reporter.phase("decode"):
            asked, skipped = self._settle(samples, places, self.prefetch.take(samples))
        if self.config.video.prefetch:
            self.prefetch.begin(upcoming)
        if not asked:
            return None, skipped
        pad_id = self.processor.tokenizer.pad_token_id
        prompts = collate_prompts(self._with_features(policy, asked), pad_id).to(policy.device)
        num_generations = self.config.rollout.num_generations
        with self.reporter.phase("generate"):
            rollout = self.micro_batch.generate(
                ENGINES[self.config.rollout.engine],
                policy,
                self.processor,
                prompts,
                self.sampling,
                [derive_seed(self.config.seed, "rollout", one.place) for one in asked],
                self.should_stop,
            )
        rows = [
            self._row(asked[place // num_generations], rollout, place)
            for place in range(len(rollout.texts))
        ]
        rewards_BG = torch.tensor([row["reward"] for row in rows]).view(-1, num_generations)
        advantages_N = group_advantages(rewards_BG).flatten()
        for row, advantage in zip(rows, advantages_N.tolist(), strict=True):
            row["advantage"] = advantage
        end_ids = end_token_ids(base_model(policy), self.processor)
        ids_NL, mask_NL = pad_completions(rollout.completion_ids, sorted(end_ids), pad_id)
        batch = ScoringBatch(prompts, ids_NL.to(policy.device), mask_NL.to(policy.device))
        sampled_NL = None if rollout.logps is None else _padded(rollout.logps).to(policy.device)
        return Groups(batch, advantages_N.to(policy.device), rows, sampled_NL), skipped

    def stand_in(self, policy: Any, samples: Sequence[VideoSample]) -> ScoringBatch:
        """One end token after the first question that can be asked: for a pass without questions.

        Args:
            policy: The model that will score it.
            samples: Questions to choose from.

        Raises:
            DataError: None of them can be asked.
        """
        for sample in samples:
            asked, skipped = self._settle([sample], [0], [partial(self._prepare, sample)])
            if asked:
                tokenizer = self.processor.tokenizer
                prompts = collate_prompts(
                    self._with_features(policy, asked), tokenizer.pad_token_id
                )
                ids_NL = torch.tensor([[tokenizer.eos_token_id]], device=policy.device)
                return ScoringBatch(prompts.to(policy.device), ids_NL, torch.ones_like(ids_NL))
        raise DataError(
            f"none of the {len(samples)} questions can be asked; the last: {skipped[-1].reason}",
            "Mend the clips, or choose other questions with --data.",
        )

    def close(self) -> None:
        """End the thread that prepares ahead."""
        self.prefetch.close()

    def _settle(
        self,
        samples: Sequence[VideoSample],
        places: Sequence[int],
        prepared: Sequence[Callable[[], _Prepared]],
    ) -> tuple[list[_Asked], list[Skipped]]:
        """The questions that can be asked, and why the others cannot, each in its order."""
        asked: list[_Asked] = []
        skipped: list[Skipped] = []
        for sample, place, result in zip(samples, places, prepared, strict=True):
            try:
                asked.append(_Asked(sample, place, *result()))
            except DataError as fault:
                skipped.append(Skipped(sample.sample_id, str(sample.video), fault.message))
        if notice := self.clips.take_notice():
            self.reporter.alert(None, Alert("pixel_cache", notice))
        return asked, skipped

    def _prepare(self, sample: VideoSample) -> _Prepared:
        clip = self.clips.read(sample.video, self.frames)
        prompt = prepare_prompt(
            self.processor,
            sample.problem,
            clip,
            self.config.prompt.template,
            self.config.prompt.max_prompt_tokens,
        )
        key = clip_key(sample.video, self.frames)
        return _Prepared(prompt, clip.timestamps_s, key, self.thumbnails.keep(clip, key))

    def _with_features(self, policy: Any, asked: Sequence[_Asked]) -> list[PromptInputs]:
        """The prompts, with their clips' features where no weight of the tower is trained."""
        base = base_model(policy)
        if self.config.rollout.engine == "reference" or not has_frozen_tower(base):
            return [one.prompt for one in asked]
        return [self.features.attach(base, one.prompt, one.clip_key) for one in asked]

    def _row(self, one: _Asked, rollout: Rollout, place: int) -> dict[str, Any]:
        sample, completion = one.sample, rollout.texts[place]
        graded = grade(completion, sample.solution, len(sample.options))
        accuracy = graded.partial if self.config.reward.accuracy == "soft" else graded.strict
        row = {
            "group": one.place,
            "sample_id": sample.sample_id,
            "clip_id": sample.clip_id,
            "video": str(sample.video),
            "timestamps_s": [round(time_s, 6) for time_s in one.timestamps_s],
            "frames": one.frames,
            "label": sample.label,
            "polarity": sample.polarity,
            "num_correct": len(sample.solution.split(",")),
            "num_options": len(sample.options),
            "problem": sample.problem,
            "solution": sample.solution,
            "generation": place % self.config.rollout.num_generations,
            "completion": completion,
            "num_tokens": len(rollout.completion_ids[place]),
            "is_truncated": rollout.truncated[place],
            "reward": self._reward(accuracy, graded),
            "reward_accuracy": accuracy,
            "reward_format": graded.format,
            "parsed": join_letters(graded.extraction.letters),
            "status": graded.extraction.status,
            "strict": graded.strict,
        }
        if self.config.prompt.template == "mini":
            row["strategy"] = classify_strategy(completion)
        if self.config.record.token_kl:
            lengths = self.token_texts.lengths(rollout.completion_ids[place], completion)
            row["token_chars"] = None if lengths is None else pack_token_chars(lengths)
        return row

    def _reward(self, accuracy: float, graded: Grade) -> float:
        weights = self.config.reward
        return weights.accuracy_weight * accuracy + weights.format_weight * graded.format


def _padded(logps: Sequence[Sequence[float]]) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in logps], batch_first=True)


def frame_settings(config: VtkConfig) -> FrameSettings:
    """How a run's clips become frames."""
    video = config.video
    return FrameSettings(
        num_frames=video.num_frames,
        fps=video.fps,
        min_pixels_px=video.min_pixels_px,
        max_pixels_px=video.max_pixels_px,
        decoder=video.decoder,
    )


def sampling_settings(config: VtkConfig) -> SamplingSettings:
    """How a run's completions are drawn: every parameter, none left to the checkpoint."""
    rollout = config.rollout
    return SamplingSettings(
        max_completion_tokens=rollout.max_completion_tokens,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        top_k=rollout.top_k,
        min_p=rollout.min_p,
        repetition_penalty=rollout.repetition_penalty,
    )
