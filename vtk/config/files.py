"""Configuration files: the shipped presets, a user's TOML, and a run's own config.json."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtk.config.keys import known_keys, require_key
from vtk.config.schema import STAGES, Stage
from vtk.errors import ConfigError
from vtk.hints import nearest_hint

PACKAGED_PRESETS = Path(__file__).resolve().parent.parent / "presets"
CHECKOUT_PRESETS = Path(__file__).resolve().parents[2] / "presets"
_TABLES = frozenset(STAGES) | {dotted.split(".")[0] for dotted in known_keys()}


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody set, and where."""

    value: Any
    source: str


def presets_dir() -> Path:
    """The folder of the shipped presets: inside the installed package, else the checkout's.

    Raises:
        ConfigError: Neither is there, so the installation is damaged.
    """
    for folder in (PACKAGED_PRESETS, CHECKOUT_PRESETS):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"the presets are missing: neither {PACKAGED_PRESETS} nor {CHECKOUT_PRESETS} exists",
        hint="Install vtk again: `pip install --force-reinstall videothinker-toolkit`.",
    )


def list_presets() -> list[str]:
    """Names of the shipped presets, sorted."""
    return sorted(path.stem for path in presets_dir().glob("*.toml"))


def preset_path(name: str) -> Path:
    """The file of the preset called `name`.

    Raises:
        ConfigError: There is no such preset; the hint names the nearest or all.
    """
    names = list_presets()
    if name not in names:
        raise ConfigError(
            f"unknown preset {name!r}",
            hint=f"{nearest_hint(name, names, 'Presets')} A file of your own goes to --config.",
        )
    return presets_dir() / f"{name}.toml"


def preset_summary(name: str) -> str:
    """The first line of a preset's leading comment: what it is for."""
    first = preset_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip()


def stages_of(path: Path) -> tuple[Stage, ...]:
    """The stages that a file can configure: the one a run's config.json was made for, else all.

    Raises:
        ConfigError: The file cannot be read or parsed.
    """
    if path.suffix != ".json":
        return STAGES
    made_for = _json_config(path, _read_text(path)).get("stage")
    return tuple(stage for stage in STAGES if made_for in (None, stage))


def read_settings(path: Path, stage: Stage, label: str | None = None) -> dict[str, Given]:
    """Settings of one file for one stage, by dotted key; the stage's own table wins.

    Args:
        path: TOML, or the config.json of a run.
        stage: The tables of the other stages are checked and left out.
        label: How to name the file as a source; the path and line when None.

    Raises:
        ConfigError: The file cannot be read or parsed, or holds an unknown key.
    """
    text = _read_text(path)
    tables = _run_config(path, text, stage) if path.suffix == ".json" else _parse_toml(path, text)
    common: dict[str, Given] = {}
    own: dict[str, Given] = {}
    for dotted, value in _flatten(tables):
        head, _, rest = dotted.partition(".")
        table_stage = head if head in STAGES else None
        source = label or _place(path, text, dotted)
        source += f" [{table_stage}]" if label and table_stage else ""
        key = require_key(rest if table_stage else dotted, source)
        given = Given(None if key.is_optional and value == "none" else value, source)
        if table_stage is None:
            common[key.dotted] = given
        elif table_stage == stage:
            own[key.dotted] = given
    return common | own


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read the configuration {path}: {reason}",
            hint="`vtk config cp tiny my.toml` writes one to start from.",
        ) from error


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _json_config(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    config = document.get("config", document) if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise ConfigError(
            f"{path} holds no configuration", hint="Give the config.json of a run, or a TOML file."
        )
    return config


def _run_config(path: Path, text: str, stage: Stage) -> dict[str, Any]:
    config = _json_config(path, text)
    made_for = config.get("stage", stage)
    if made_for != stage:
        raise ConfigError(
            f"{path} was made for stage {made_for}, not {stage}",
            hint=f"Use it with `vtk train-{made_for}`.",
        )
    return {key: value for key, value in config.items() if key != "stage"}


def _flatten(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, Mapping) and (value or name in _TABLES):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _place(path: Path, text: str, dotted: str) -> str:
    """`path:line` of a key in a TOML text, or the path alone where the line cannot be told."""
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = f"{header[1]}."
            if header[1] == dotted:
                return f"{path}:{number}"
        elif (entry := re.match(r"\s*([\w.-]+)\s*=", line)) and table + entry[1] == dotted:
            return f"{path}:{number}"
    return str(path)
