"""Fetch a backbone from the Hugging Face hub into its local cache."""

import shutil
from pathlib import Path

from vtk.data.remote.sources import SOURCES
from vtk.errors import ConfigError, DataError, MissingEnvironmentError
from vtk.format import format_bytes
from vtk.system.checks import first_line

BACKBONES = {name: source.repo for name, source in SOURCES.items() if source.kind == "model"}
"""Short names of what the presets start from and compare with."""

WANTED_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja")


def hub_id(name: str) -> str:
    """The hub id of a short name; a full id stands for itself.

    Raises:
        ConfigError: It is neither.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return name
    known = ", ".join(BACKBONES)
    raise ConfigError(f"Unknown model {name!r}.", hint=f"Known: {known}; or a hub id OWNER/NAME.")


def fetch_backbone(name: str) -> Path:
    """Fetch a model's weights, configuration and tokenizer; what is already there is kept.

    Args:
        name: A short name or a hub id.

    Returns:
        The folder with the files.

    Raises:
        ConfigError: The name is unknown.
        DataError: The disk has too little room.
        MissingEnvironmentError: The hub cannot be reached or refuses.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    repository = hub_id(name)
    try:
        plan = snapshot_download(repository, allow_patterns=list(WANTED_FILES), dry_run=True)
        needed_bytes = sum(file.file_size or 0 for file in plan if file.will_download)
        _require_room(Path(constants.HF_HUB_CACHE), needed_bytes, repository)
        return Path(snapshot_download(repository, allow_patterns=list(WANTED_FILES)))
    except (HfHubHTTPError, OSError) as error:
        raise MissingEnvironmentError(
            f"Cannot fetch {repository}: {first_line(error)}",
            hint="Check the network, HF_HUB_OFFLINE and HF_TOKEN; or name a local folder instead.",
        ) from error


def _require_room(folder: Path, needed_bytes: int, repository: str) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes:
        raise DataError(
            f"{repository} needs {format_bytes(needed_bytes)}, but {folder} has only "
            f"{format_bytes(free_bytes)} free.",
            hint="Free some space, or set HF_HOME to a folder on another disk.",
        )
