"""One batch of questions to one model: prompts, completions, grades, and what went wrong instead.

One question is a border: what fails for it (a damaged clip, a prompt too long, memory) becomes a
row with an error, which counts as wrong, and its neighbours are asked without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

from vtk.data.sample import VideoSample
from vtk.errors import ConfigError, Interrupted, MissingEnvironmentError, UserInterrupt, VtkError
from vtk.evals.backends import Backend, Prompt
from vtk.evals.reading import ClipReader, ClipTooSlow, Reading
from vtk.evals.record import EvalRow
from vtk.evals.settings import EvaluationSettings
from vtk.mini.language import classify_strategy
from vtk.rollout.generate import Rollout
from vtk.runs.files import file_sha256
from vtk.scoring.answers import join_letters
from vtk.scoring.rewards import grade, is_well_formed
from vtk.scoring.verdicts import Asked
from vtk.system.memory import is_out_of_memory, release_memory
from vtk.video.frame_folder import folder_sha256
from vtk.video.frames import Clip

_MAX_MESSAGE_CHARS = 500
_NEVER_OF_ONE_QUESTION = (ConfigError, Interrupted, MissingEnvironmentError, UserInterrupt)


@dataclass(frozen=True)
class _Asked:
    """One question that could be put to the model, with its clip's evidence."""

    sample: VideoSample
    prompt: Prompt
    evidence: dict[str, Any]


class Asker:
    """Puts batches of questions to one backend."""

    def __init__(self, backend: Backend, settings: EvaluationSettings, reader: ClipReader) -> None:
        self.backend = backend
        self.settings = settings
        self.reader = reader

    def ask(self, batch: Sequence[VideoSample], readings: Sequence[Reading]) -> Iterator[EvalRow]:
        """The rows of one batch in order, whatever happened to some of its questions."""
        rows: dict[str, list[EvalRow]] = {}
        asked: list[_Asked] = []
        for sample, reading in zip(batch, readings, strict=True):
            self.reader.raise_if_asked()
            prepared = self._prepare(sample, reading)
            if isinstance(prepared, _Asked):
                asked.append(prepared)
            else:
                rows[sample.sample_id] = prepared
        rows |= self._answer(asked)
        for sample in batch:
            yield from rows[sample.sample_id]

    def _prepare(self, sample: VideoSample, reading: Reading) -> "_Asked | list[EvalRow]":
        kind = "decode"
        evidence: dict[str, Any] = {}
        try:
            clip = self.reader.wait(reading)
            evidence = _evidence(sample.video, clip)
            kind = "prompt"
            clip_key = (
                sample.video,
                self.settings.frames_of(sample),
            )  # of a clip, or of a part of it
            prompt = self.backend.prepare(
                *self.settings.words_of(sample), clip, clip_key, self.settings.max_prompt_tokens
            )
        except _NEVER_OF_ONE_QUESTION:
            raise
        except Exception as fault:  # noqa: BLE001 - the border: one question's fault becomes its row
            return self._error_rows(sample, kind, fault, evidence)
        return _Asked(sample, prompt, evidence)

    def _answer(self, asked: Sequence[_Asked]) -> dict[str, list[EvalRow]]:
        """Rows of questions answered together; one by one where that fails, to spare neighbours.

        Each question is drawn by its own seed, so it says the same alone as in company.
        """
        if not asked:
            return {}
        answered = self._generate(asked)
        if isinstance(answered, Rollout):
            return self._grade(asked, answered)
        if is_out_of_memory(answered):
            release_memory()
        if len(asked) > 1:
            alone = [self._answer([one]) for one in asked]
            return {key: rows for found in alone for key, rows in found.items()}
        sample, evidence = asked[0].sample, asked[0].evidence
        return {sample.sample_id: self._error_rows(sample, "generate", answered, evidence)}

    def _generate(self, asked: Sequence[_Asked]) -> "Rollout | Exception":
        """Completions, or what prevented them; its traceback is dropped, it would hold tensors."""
        seeds = [_seed_of(self.settings.seed, one.sample.sample_id) for one in asked]
        prompts = [one.prompt for one in asked]
        try:
            return self.backend.answer(prompts, self.settings, seeds, self.reader.should_stop)
        except _NEVER_OF_ONE_QUESTION:
            raise
        except Exception as fault:  # noqa: BLE001 - the border, as above
            return fault.with_traceback(None)

    def _grade(self, asked: Sequence[_Asked], rollout: Rollout) -> dict[str, list[EvalRow]]:
        num_draws = self.settings.num_draws
        rows: dict[str, list[EvalRow]] = {}
        for index, one in enumerate(asked):
            places = range(index * num_draws, (index + 1) * num_draws)
            if not all(_is_finite(rollout, place) for place in places):
                fault = ArithmeticError("the model's probabilities are not finite")
                rows[one.sample.sample_id] = self._error_rows(
                    one.sample, "generate", fault, one.evidence
                )
                continue
            rows[one.sample.sample_id] = [
                self._graded_row(one, draw, rollout, place) for draw, place in enumerate(places)
            ]
        return rows

    def _graded_row(self, one: _Asked, draw: int, rollout: Rollout, place: int) -> EvalRow:
        completion = rollout.texts[place]
        row = replace(
            _blank_row(one.sample, draw, one.evidence),
            completion=completion,
            num_tokens=len(rollout.completion_ids[place]),
            is_truncated=rollout.truncated[place],
            num_video_tokens=one.prompt.num_video_tokens,
            strategy=classify_strategy(completion) if self.settings.has_strategies else None,
        )
        return self._with_verdict(_with_readings(row, one.sample, completion), one.sample)

    def _with_verdict(self, row: EvalRow, sample: VideoSample) -> EvalRow:
        """The row with the score by the protocol's rule, if there is one; a judge comes later."""
        if self.settings.protocol is None or row.completion is None or sample.judging is not None:
            return row
        verdict = self.settings.protocol.verdict(row.completion, Asked.of(sample))
        return replace(row, score=verdict.score, said=verdict.said)

    def _error_rows(
        self, sample: VideoSample, kind: str, fault: Exception, evidence: dict[str, Any]
    ) -> list[EvalRow]:
        message = fault.message if isinstance(fault, VtkError) else str(fault)
        if is_out_of_memory(fault):
            kind = "memory"
        elif isinstance(fault, ClipTooSlow):
            kind = "timeout"
        error = {
            "kind": kind,
            "type": type(fault).__name__,
            "message": message.strip()[:_MAX_MESSAGE_CHARS],
        }
        score = None if self.settings.protocol is None else 0.0
        return [
            replace(_blank_row(sample, draw, evidence), error=error, score=score)
            for draw in range(self.settings.num_draws)
        ]


def _is_finite(rollout: Rollout, place: int) -> bool:
    """Whether a completion was drawn from numbers; an engine that does not say is believed."""
    return rollout.logps is None or all(map(isfinite, rollout.logps[place]))


def _with_readings(row: EvalRow, sample: VideoSample, completion: str) -> EvalRow:
    """The row with the letters that the one grader reads, where the question has options."""
    if not sample.options:
        return replace(row, status="unparsable", format=float(is_well_formed(completion)))
    graded = grade(completion, sample.solution, len(sample.options))
    return replace(
        row,
        parsed=join_letters(graded.extraction.letters),
        status=graded.extraction.status,
        lenient_parsed=join_letters(graded.lenient_extraction.letters),
        strict=graded.strict,
        partial=graded.partial,
        per_option=graded.per_option,
        lenient=graded.lenient,
        format=graded.format,
    )


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
        kind=sample.kind,
        types=dict(sample.types),
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
    return folder_sha256(path) if path.is_dir() else file_sha256(path)


def _seed_of(seed: int, name: str) -> int:
    """A seed of its own for each question, the same in every attempt and in any company."""
    return int.from_bytes(sha256(f"{seed}:{name}".encode()).digest()[:4])
