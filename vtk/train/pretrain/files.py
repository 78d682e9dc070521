"""What `vtk mini pretrain` leaves on disk.

```
OUT/config.json generation_config.json model.safetensors      float32
OUT/tokenizer and processor files
OUT/report.json             written last: settings, what was measured, versions
OUT/tower.safetensors       only while the language model is not done
```
"""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from vtk.errors import DataError
from vtk.models.loader import weights_hash
from vtk.runs.files import read_json, write_bytes_atomic, write_json_atomic

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

REPORT_FILE = "report.json"
TOWER_FILE = "tower.safetensors"
_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
_TURN = "clip_rotation"
_DISTRIBUTION = "videothinker-toolkit"


def finished_report(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report of a finished pretraining with these settings; None if there is none yet.

    Raises:
        DataError: The folder holds a model that was made with other settings.
    """
    path = folder / REPORT_FILE
    if not path.is_file():
        is_unfinished = (folder / TOWER_FILE).is_file()
        if (folder / "model.safetensors").exists() and not is_unfinished:
            raise DataError(
                f"{folder} holds another model", hint="Choose another folder with --out."
            )
        return None
    report = read_json(path)
    made_with = report.get("settings", {})
    differing = sorted(name for name in settings if made_with.get(name) != settings[name])
    if differing:
        reasons = ", ".join(f"{n} is {made_with.get(n)}, not {settings[n]}" for n in differing)
        raise DataError(
            f"{folder} holds a model made with other settings: {reasons}",
            hint="Choose another folder with --out.",
        )
    return report


def save_tower(
    folder: Path,
    model: "Qwen2_5_VLForConditionalGeneration",
    settings: Mapping[str, Any],
    turn_DD: torch.Tensor,
    result: Mapping[str, float],
) -> None:
    """Keep the trained tower until the language model is done.

    Args:
        folder: Of the pretraining.
        model: Its `visual` part is saved.
        settings: What decided the tower.
        turn_DD: The rotation that it was finished with.
        result: What it could do at the end.
    """
    metadata = {"settings": json.dumps(settings), "result": json.dumps(result)}
    tensors = {**model.model.visual.state_dict(), _TURN: turn_DD.contiguous()}
    write_bytes_atomic(folder / TOWER_FILE, save(tensors, metadata))


def load_tower(
    folder: Path, model: "Qwen2_5_VLForConditionalGeneration", settings: Mapping[str, Any]
) -> tuple[torch.Tensor, dict[str, float]] | None:
    """Put a saved tower into the model.

    Returns:
        The rotation that it was finished with and what it could do; None if there is no tower made
        with these settings.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / TOWER_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata()
            if json.loads(metadata["settings"]) != settings:
                return None
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(f"{path} is damaged: {error}", hint="Remove it, then repeat.") from error
    turn_DD = weights.pop(_TURN)
    model.model.visual.load_state_dict(weights)
    return turn_DD, json.loads(metadata["result"])


def save_model(
    folder: Path,
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    report: Mapping[str, Any],
) -> dict[str, Any]:
    """Write model, processor and report; a folder with a report is whole.

    Returns:
        The report with the weights' size and hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as name:
        temporary = Path(name)
        with _no_progress_bars():
            model.float().save_pretrained(temporary)
        processor.save_pretrained(temporary)
        for path in sorted(temporary.iterdir()):
            write_bytes_atomic(folder / path.name, path.read_bytes())
    full_report = {
        **report,
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "weights_bytes": (folder / "model.safetensors").stat().st_size,
        "weights_sha256": weights_hash(model),
    }
    write_json_atomic(folder / REPORT_FILE, full_report)
    (folder / TOWER_FILE).unlink(missing_ok=True)
    return full_report


def software_versions() -> dict[str, str]:
    """What the weights were made with."""
    return {
        "vtk": version(_DISTRIBUTION),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep the library's own bars out of the command's."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()
