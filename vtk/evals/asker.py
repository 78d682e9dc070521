"""One batch of questions to one model: prompts, completions, grades, and what went wrong instead.

One question is a border: what fails for it (a damaged clip, a prompt too long, memory) becomes a
row with an error, which counts as wrong, and its neighbours are asked without it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vtk.data.sample import VideoSample
from vtk.errors import ConfigError, Interrupted, MissingEnvironmentError, UserInterrupt, VtkError
from vtk.evals.record import EvalRow
from vtk.evals.settings import EvaluationSettings
from vtk.mini.language import classify_strategy
from vtk.rollout.embeddings import FeatureCache
from vtk.rollout.engines import ENGINES
from vtk.rollout.generate import Rollout, base_model
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.runs.files import file_sha256
from vtk.scoring.answers import join_letters
from vtk.scoring.rewards import grade
from vtk.video.frames import Clip

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

MAX_FEATURE_CACHE_BYTES = 512 * 2**20  # questions about one clip mostly stand together
_MAX_MESSAGE_CHARS = 500
_NEVER_OF_ONE_QUESTION = (ConfigError, Interrupted, MissingEnvironmentError, UserInterrupt)


@dataclass(frozen=True)
class _Asked:
    """One question that could be put to the model, with its clip's evidence."""

    sample: VideoSample
    prompt: PromptInputs
    evidence: dict[str, Any]


class Asker:
    """Puts batches of questions to one model, whose weights stay as they are meanwhile."""

    def __init__(
        self,
        model: Any,
        processor: "Qwen2_5_VLProcessor",
        settings: EvaluationSettings,
        should_stop: Callable[[], bool],
        max_feature_bytes: int = MAX_FEATURE_CACHE_BYTES,
    ) -> None:
        self.model = model
        self.processor = processor
        self.settings = settings
        self.should_stop = should_stop
        self.features = FeatureCache(max_feature_bytes)

    def ask(
        self, batch: Sequence[VideoSample], futures: Sequence["Future[Clip]"]
    ) -> Iterator[EvalRow]:
        """The rows of one batch in order, whatever happened to some of its questions."""
        rows: dict[str, list[EvalRow]] = {}
        asked: list[_Asked] = []
        for sample, future in zip(batch, futures, strict=True):
            if self.should_stop():
                raise Interrupted("stopped between questions")
            prepared = self._prepare(sample, future)
            if isinstance(prepared, _Asked):
                asked.append(prepared)
            else:
                rows[sample.sample_id] = prepared
        rows |= self._answer(asked, batch[0].sample_id)
        for sample in batch:
            yield from rows[sample.sample_id]

    def _prepare(self, sample: VideoSample, future: "Future[Clip]") -> "_Asked | list[EvalRow]":
        kind = "decode"
        evidence: dict[str, Any] = {}
        try:
            clip = future.result()
            evidence = _evidence(sample.video, clip)
            kind = "prompt"
            prompt = prepare_prompt(
                self.processor,
                sample.problem,
                clip,
                self.settings.template,
                self.settings.max_prompt_tokens,
            )
        except _NEVER_OF_ONE_QUESTION:
            raise
        except Exception as fault:  # noqa: BLE001 - the border: one question's fault becomes its row
            return self._error_rows(sample, kind, fault, evidence)
        return _Asked(sample, prompt, evidence)

    def _answer(self, asked: Sequence[_Asked], seed_name: str) -> dict[str, list[EvalRow]]:
        """Rows of questions answered together; one by one where that fails, to spare neighbours."""
        if not asked:
            return {}
        answered = self._generate(asked, seed_name)
        if isinstance(answered, Rollout):
            return self._grade(asked, answered)
        if isinstance(answered, torch.OutOfMemoryError) and torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(asked) > 1:
            names = [f"{seed_name}/{one.sample.sample_id}" for one in asked]
            alone = [self._answer([one], name) for one, name in zip(asked, names, strict=True)]
            return {key: rows for found in alone for key, rows in found.items()}
        is_memory = isinstance(answered, torch.OutOfMemoryError | MemoryError)
        kind = "memory" if is_memory else "generate"
        sample, evidence = asked[0].sample, asked[0].evidence
        return {sample.sample_id: self._error_rows(sample, kind, answered, evidence)}

    def _generate(self, asked: Sequence[_Asked], seed_name: str) -> "Rollout | Exception":
        """Completions, or what prevented them; its traceback is dropped, it would hold tensors."""
        pad_id = self.processor.tokenizer.pad_token_id
        make = ENGINES[self.settings.engine]
        try:
            return make(
                self.model,
                self.processor,
                collate_prompts([self._with_features(one) for one in asked], pad_id),
                self.settings.sampling,
                self.settings.num_draws,
                generator_seed=_seed_of(self.settings.seed, seed_name),
                should_stop=self.should_stop,
            )
        except _NEVER_OF_ONE_QUESTION:
            raise
        except Exception as fault:  # noqa: BLE001 - the border, as above
            return fault.with_traceback(None)

    def _with_features(self, one: _Asked) -> PromptInputs:
        """The prompt, with the clip's features if the engine can use them."""
        if self.settings.engine == "reference":
            return one.prompt
        return self.features.attach(base_model(self.model), one.prompt, one.sample.video)

    def _grade(self, asked: Sequence[_Asked], rollout: Rollout) -> dict[str, list[EvalRow]]:
        num_draws = self.settings.num_draws
        rows: dict[str, list[EvalRow]] = {}
        for index, one in enumerate(asked):
            places = range(index * num_draws, (index + 1) * num_draws)
            rows[one.sample.sample_id] = [
                self._graded_row(one, draw, rollout, place) for draw, place in enumerate(places)
            ]
        return rows

    def _graded_row(self, one: _Asked, draw: int, rollout: Rollout, place: int) -> EvalRow:
        completion = rollout.texts[place]
        graded = grade(completion, one.sample.solution, len(one.sample.options))
        return replace(
            _blank_row(one.sample, draw, one.evidence),
            completion=completion,
            num_tokens=len(rollout.completion_ids[place]),
            is_truncated=rollout.truncated[place],
            parsed=join_letters(graded.extraction.letters),
            status=graded.extraction.status,
            lenient_parsed=join_letters(graded.lenient_extraction.letters),
            strict=graded.strict,
            partial=graded.partial,
            per_option=graded.per_option,
            lenient=graded.lenient,
            format=graded.format,
            strategy=classify_strategy(completion) if self.settings.has_strategies else None,
        )

    def _error_rows(
        self, sample: VideoSample, kind: str, fault: Exception, evidence: dict[str, Any]
    ) -> list[EvalRow]:
        message = fault.message if isinstance(fault, VtkError) else str(fault)
        error = {
            "kind": kind,
            "type": type(fault).__name__,
            "message": message.strip()[:_MAX_MESSAGE_CHARS],
        }
        return [
            replace(_blank_row(sample, draw, evidence), error=error)
            for draw in range(self.settings.num_draws)
        ]


def _blank_row(sample: VideoSample, draw: int, evidence: dict[str, Any]) -> EvalRow:
    """A row that scores nothing: what an error leaves, and what a grade fills."""
    gold = sample.solution.split(",")
    return EvalRow(
        sample_id=sample.sample_id,
        draw=draw,
        clip_id=sample.clip_id,
        label=sample.label,
        polarity=sample.polarity,
        num_correct=len(gold) if sample.num_correct is None else sample.num_correct,
        num_options=len(sample.options),
        problem=sample.problem,
        solution=sample.solution,
        completion=None,
        num_tokens=None,
        is_truncated=False,
        parsed=None,
        status="error",
        lenient_parsed=None,
        strict=0.0,
        partial=0.0,
        per_option=0.0,
        lenient=0.0,
        format=0.0,
        strategy=None,
        video_sha256=evidence.get("video_sha256"),
        decoder=evidence.get("decoder"),
        timestamps_s=evidence.get("timestamps_s"),
        error=None,
    )


def _evidence(video: Path, clip: Clip) -> dict[str, Any]:
    """What the model was shown, for anyone who wants to repeat it."""
    status = video.stat()
    return {
        "video_sha256": _sha256_of_version(video, status.st_size, status.st_mtime_ns),
        "decoder": clip.decoder,
        "timestamps_s": [round(time_s, 6) for time_s in clip.timestamps_s],
    }


@lru_cache(maxsize=1024)
def _sha256_of_version(path: Path, _num_bytes: int, _mtime_ns: int) -> str:
    return file_sha256(path)


def _seed_of(seed: int, name: str) -> int:
    """A seed of its own for each batch, the same in every attempt."""
    return int.from_bytes(sha256(f"{seed}:{name}".encode()).digest()[:4])
