"""Some held-out clips beside what each model wrote about them, chosen by a rule.

For each kind of outcome (CDPO right and GRPO wrong, the other way round, both wrong) the rule
takes, among the questions of that outcome, inferential ones first, then the one that the seed's
hash puts first, and no clip twice. Only the first completion of a question is looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from vtk.evals.record import EvalRow

RULE: Final = (
    "Chosen by rule: of each outcome an inferential question if there is one, the first in the "
    "order of the seed's hash, each of another clip; the first completion of each model."
)
NUM_SHOWN_FRAMES: Final = 8
_FRAME_PIXELS_PX: Final = 252 * 168

RowsByModel = Mapping[str, Sequence[EvalRow]]
_Said = Mapping[str, EvalRow]

OUTCOMES: Final[dict[str, Callable[[_Said], bool]]] = {
    "CDPO right, GRPO wrong": lambda said: _is_right(said["cdpo"]) and not _is_right(said["grpo"]),
    "GRPO right, CDPO wrong": lambda said: _is_right(said["grpo"]) and not _is_right(said["cdpo"]),
    "both wrong": lambda said: not _is_right(said["cdpo"]) and not _is_right(said["grpo"]),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One question with what each model wrote; `said` is None where no question had the outcome."""

    outcome: str
    said: Mapping[str, EvalRow] | None

    @property
    def question(self) -> EvalRow:
        """Any model's row: what was asked is the same in all."""
        assert self.said is not None
        return self.said["cdpo"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a clip: seconds from its start, and a JPEG as a data URI."""

    time_s: float
    uri: str


def choose_examples(rows_by_model: RowsByModel, seed: int) -> list[Example]:
    """One question for each outcome, see `RULE`.

    Args:
        rows_by_model: Model name -> its graded completions of the same questions.
        seed: Decides among questions of the same outcome.
    """
    answers = _first_answers(rows_by_model)
    ranked = sorted(answers, key=lambda key: (_rank(answers[key]), _place(key, seed)))
    examples, used = [], set()
    for outcome, applies in OUTCOMES.items():
        fitting = (
            answers[key]
            for key in ranked
            if applies(answers[key]) and answers[key]["cdpo"].clip_id not in used
        )
        said = next(fitting, None)
        if said is not None:
            used.add(said["cdpo"].clip_id)
        examples.append(Example(outcome, said))
    return examples


def read_frames(video: Path, num_model_frames: int) -> list[Frame]:
    """Every other frame that the models saw, large enough for people.

    Args:
        video: The clip.
        num_model_frames: Frames that the models were shown, evenly over the clip.

    Raises:
        DataError: The clip cannot be read.
    """
    from vtk.video.frames import FrameSettings, read_clip
    from vtk.video.jpeg import jpeg_uri

    settings = FrameSettings(
        num_frames=num_model_frames,
        fps=None,
        min_pixels_px=_FRAME_PIXELS_PX // 2,
        max_pixels_px=_FRAME_PIXELS_PX,
    )
    clip = read_clip(video, settings)
    every = max(1, len(clip.timestamps_s) // NUM_SHOWN_FRAMES)
    return [
        Frame(clip.timestamps_s[index], jpeg_uri(clip.frames_FCHW[index].permute(1, 2, 0)))
        for index in range(0, len(clip.timestamps_s), every)
    ]


def _first_answers(rows_by_model: RowsByModel) -> dict[str, dict[str, EvalRow]]:
    """Question id -> model -> its first completion, for questions that no model failed on."""
    answers: dict[str, dict[str, EvalRow]] = {}
    for name, rows in rows_by_model.items():
        for row in rows:
            if row.draw == 0 and row.error is None:
                answers.setdefault(row.sample_id, {})[name] = row
    return {key: said for key, said in answers.items() if len(said) == len(rows_by_model)}


def _is_right(row: EvalRow) -> bool:
    return row.strict == 1.0


def _rank(said: _Said) -> int:
    return 0 if said["cdpo"].label == "inferential" else 1


def _place(sample_id: str, seed: int) -> bytes:
    return sha256(f"{seed}:{sample_id}".encode()).digest()
