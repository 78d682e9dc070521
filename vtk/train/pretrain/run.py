"""`vtk mini pretrain`: make the tiny model's weights from nothing.

Scenes are rendered, the vision tower is trained on the first of them, all of them are encoded by
it, the language model is trained on the features, and the result is measured on scenes that were
not seen. The stages are saved as they go (`vtk.train.pretrain.progress`) and the tower when it is
done, so that a run that was stopped goes on; `report.json` is written last and says that the folder
is whole.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vtk.errors import ConfigError
from vtk.models.tiny import build_tiny_model
from vtk.runs.files import storage_error
from vtk.train.pretrain.data import PretrainScene
from vtk.train.pretrain.files import (
    finished_report,
    load_tower,
    save_model,
    save_tower,
    software_versions,
)
from vtk.train.pretrain.language import encode_scenes, train_language
from vtk.train.pretrain.progress import NUM_KEPT_NUMBERS, StageProgress
from vtk.train.pretrain.report import as_json, measure_strategies
from vtk.train.pretrain.scenes import MAX_SCENES, held_out_scenes, training_scenes
from vtk.train.pretrain.vision import train_vision

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

_ENCODE_SCENES = 1000
_NO_FRAMES = torch.empty(0, dtype=torch.uint8)

OnProgress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """What decides a pretraining.

    Attributes:
        num_scenes: Scenes that the language model learns from.
        num_vision_scenes: How many of them, the first, the tower learns from.
        vision_steps: Optimizer steps of the tower.
        pairs_per_step: Frame pairs in one of its batches.
        vision_learning_rate: Peak of its one-cycle schedule.
        language_steps: Optimizer steps of the language model.
        clips_per_step: Clips in one of its batches.
        language_learning_rate: Peak of its one-cycle schedule.
        num_held_out_scenes: Scenes that the finished model is measured on.
        seed: Decides scenes, first weights and batches. The held-out scenes are always the same.
    """

    num_scenes: int = 12_000
    num_vision_scenes: int = 12_000
    vision_steps: int = 2_800
    pairs_per_step: int = 256
    vision_learning_rate: float = 2e-3
    language_steps: int = 8_000
    clips_per_step: int = 5
    language_learning_rate: float = 7e-4
    num_held_out_scenes: int = 150
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            ConfigError: A value is out of its range.
        """
        for name, value in asdict(self).items():
            if value <= 0 and name != "seed":
                raise ConfigError(f"{name} must be above 0, not {value}")
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or above, not {self.seed}")
        if self.num_scenes > MAX_SCENES:
            raise ConfigError(f"num_scenes must be at most {MAX_SCENES}, not {self.num_scenes}")

    def of_tower(self) -> dict[str, Any]:
        """The settings that decide the tower."""
        names = ("vision_steps", "pairs_per_step", "vision_learning_rate", "seed")
        shared = min(self.num_vision_scenes, self.num_scenes)
        return {"num_vision_scenes": shared, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, slots=True)
class _Tower:
    """What the first stage leaves beside the trained tower.

    Attributes:
        turn_DD: The rotation that it was finished with.
        result: What it could do at the end.
        scenes: What it was trained on, with pixels; empty where it was loaded.
    """

    turn_DD: torch.Tensor
    result: dict[str, float]
    scenes: list[PretrainScene]


def pretrain(
    folder: Path,
    settings: PretrainSettings,
    *,
    workers: int = 1,
    on_progress: OnProgress = lambda *_: None,
) -> dict[str, Any]:
    """Make a tiny model, or what is missing of it.

    Args:
        folder: Where model, processor and report go.
        settings: What to do.
        workers: Processes that render scenes.
        on_progress: Called with the stage ("render", "vision", "encode", "language", "measure"),
            what is done and what there is to do in it, and a remark.

    Returns:
        The report, as in `folder/report.json`.

    Raises:
        DataError: The folder holds a model that was made with other settings.
        VtkError: A worker process was killed, or the folder cannot be made.
    """
    report = finished_report(folder, asdict(settings))
    if report is not None:
        return report
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    started_s = time.monotonic()
    model, processor = build_tiny_model(settings.seed)
    tower = _vision_stage(folder, model, processor, settings, workers, on_progress)
    scenes, features = _encode_stage(model, settings, tower.scenes, workers, on_progress)
    tower.scenes.clear()  # the pixels
    progress = StageProgress(folder, "language", asdict(settings))
    language = _language_stage(
        progress, model, processor, scenes, features, tower.turn_DD, settings, on_progress
    )
    del scenes, features
    rows = _measure_stage(model, processor, settings, on_progress)
    report = {
        "settings": asdict(settings),
        "vision": tower.result,
        "language": language,
        "strategies": rows,
        "versions": software_versions(),
        "wall_time_s": round(time.monotonic() - started_s, 1),
    }
    report = save_model(folder, model, processor, report)
    progress.discard()
    return report


def _vision_stage(
    folder: Path,
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    settings: PretrainSettings,
    workers: int,
    on_progress: OnProgress,
) -> _Tower:
    """Train the tower, or load the one that an earlier attempt trained."""
    earlier = load_tower(folder, model, settings.of_tower())
    if earlier is not None:
        return _Tower(*earlier, scenes=[])
    count = settings.of_tower()["num_vision_scenes"]
    scenes = list(_rendered(settings, count, workers, on_progress))
    progress = StageProgress(folder, "vision", settings.of_tower())

    def note(step: int, loss: float, found: dict[str, float]) -> None:
        progress.history.append({"loss": loss, **found})
        remark = f"place error {found['place_error_px']:.2f} px"
        on_progress("vision", step + 1, settings.vision_steps, remark)

    turn_DD = train_vision(
        model,
        processor.tokenizer,
        scenes,
        num_steps=settings.vision_steps,
        pairs_per_step=settings.pairs_per_step,
        learning_rate=settings.vision_learning_rate,
        seed=settings.seed,
        progress=progress,
        on_step=note,
    )
    result = _mean_of_last(progress.history)
    save_tower(folder, model, settings.of_tower(), turn_DD, result)
    progress.discard()
    return _Tower(turn_DD, result, scenes)


def _encode_stage(
    model: "Qwen2_5_VLForConditionalGeneration",
    settings: PretrainSettings,
    known: list[PretrainScene],
    workers: int,
    on_progress: OnProgress,
) -> tuple[list[PretrainScene], torch.Tensor]:
    """Every scene, without its pixels, and its vision features.

    `known` are the scenes that are in memory already; they are used if they are all.
    """
    scenes: list[PretrainScene] = []
    parts: list[torch.Tensor] = []
    if len(known) == settings.num_scenes:
        drawn = iter(known)
    else:
        drawn = _rendered(settings, settings.num_scenes, workers, on_progress)
    while batch := list(islice(drawn, _ENCODE_SCENES)):
        parts.append(encode_scenes(model, batch))
        scenes += [replace(scene, frames_FCHW=_NO_FRAMES) for scene in batch]
    return scenes, torch.cat(parts)


def _language_stage(
    progress: StageProgress,
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    scenes: list[PretrainScene],
    features: torch.Tensor,
    turn_DD: torch.Tensor,
    settings: PretrainSettings,
    on_progress: OnProgress,
) -> dict[str, float]:
    def note(step: int, loss: float, completion_loss: float) -> None:
        progress.history.append({"loss": loss, "completion_loss": completion_loss})
        recent = _mean_of_last(progress.history)["completion_loss"]
        on_progress("language", step + 1, settings.language_steps, f"loss {recent:.3f}")

    train_language(
        model,
        processor,
        scenes,
        turn_DD,
        num_steps=settings.language_steps,
        clips_per_step=settings.clips_per_step,
        learning_rate=settings.language_learning_rate,
        seed=settings.seed,
        features=features,
        progress=progress,
        on_step=note,
    )
    return _mean_of_last(progress.history)


def _measure_stage(
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    settings: PretrainSettings,
    on_progress: OnProgress,
) -> list[dict[str, object]]:
    scenes = held_out_scenes(settings.num_held_out_scenes)
    rows = measure_strategies(
        model,
        processor,
        scenes,
        on_progress=lambda done, total: on_progress("measure", done, total, ""),
    )
    return as_json(rows)


def _rendered(
    settings: PretrainSettings, count: int, workers: int, on_progress: OnProgress
) -> Iterator[PretrainScene]:
    def note(done: int, total: int) -> None:
        on_progress("render", done, total, "")

    return training_scenes(settings.seed, count, workers, note)


def _mean_of_last(history: list[dict[str, float]]) -> dict[str, float]:
    """Each number's mean over the last steps."""
    last = history[-NUM_KEPT_NUMBERS:]
    return {name: sum(step[name] for step in last) / len(last) for name in last[0]}
