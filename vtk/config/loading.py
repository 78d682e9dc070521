"""One configuration from five layers: defaults < preset < file < environment < command line.

The result is frozen and remembers where every value came from, so that `vtk config show` and a
run's config.json can say so. Unknown keys, wrong types and contradictions raise `ConfigError` with
the place and the nearest key.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vtk.config.files import Given, list_presets, preset_path, presets_dir, read_settings
from vtk.config.keys import known_keys, require_key, value_at, value_from_text
from vtk.config.schema import STAGES, Stage, VtkConfig
from vtk.errors import ConfigError
from vtk.hints import nearest_hint

ENVIRONMENT_PREFIX = "VTK_"

__all__ = ["Resolved", "list_presets", "load_config", "presets_dir"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration and the source of each of its values.

    Attributes:
        config: The frozen settings.
        provenance: Dotted key to source, for every setting: "default", "preset tiny", "my.toml:12",
            "env VTK_OPTIM__NUM_STEPS", "command line".
    """

    config: VtkConfig
    provenance: dict[str, str]

    def flat(self) -> dict[str, Any]:
        """Every setting's value by its dotted key, in the order of the schema."""
        return {dotted: value_at(self.config, dotted) for dotted in known_keys()}


def load_config(
    stage: str,
    preset: str | None = None,
    config_file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    is_reference_needed: bool = True,
) -> Resolved:
    """Resolve the settings of one stage.

    Args:
        stage: bias, cdpo or grpo.
        preset: Name of a shipped preset, or None.
        config_file: A TOML file, or the config.json of an earlier run of the same stage, or None.
        overrides: Dotted key to value; text is read as the setting's type, None is not given.
        environ: Environment to read `VTK_SECTION__FIELD` from; the process's own when None.
        is_reference_needed: False shows a CDPO configuration before its bias model is known.

    Raises:
        ConfigError: A key is unknown, a value has the wrong type or range, or two settings
            contradict each other.
    """
    chosen = _require_stage(stage)
    given: dict[str, Given] = {}
    if preset is not None:
        given |= read_settings(preset_path(preset), chosen, label=f"preset {preset}")
    if config_file is not None:
        given |= read_settings(config_file, chosen)
    given |= _from_environment(os.environ if environ is None else environ)
    given |= _from_command_line(overrides or {})
    sources = {
        dotted: given[dotted].source if dotted in given else "default" for dotted in known_keys()
    }
    return Resolved(_build(chosen, given, is_reference_needed), sources)


def _require_stage(stage: str) -> Stage:
    for known in STAGES:
        if stage == known:
            return known
    raise ConfigError(f"unknown stage {stage!r}", hint=nearest_hint(stage, STAGES, "Stages"))


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """Settings named `VTK_SECTION__FIELD` or `VTK_SEED`; other VTK_ variables are none."""
    given = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        dotted = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        if "." in dotted or dotted in known_keys():
            source = f"env {name}"
            given[dotted] = Given(
                value_from_text(require_key(dotted, source), text, source), source
            )
    return given


def _from_command_line(overrides: Mapping[str, Any]) -> dict[str, Given]:
    given = {}
    for dotted, value in overrides.items():
        key = require_key(dotted, "command line")
        if isinstance(value, str):
            value = value_from_text(key, value, "command line")
        elif value is None:
            continue
        given[dotted] = Given(value, "command line")
    return given


def _build(stage: Stage, given: Mapping[str, Given], is_reference_needed: bool) -> VtkConfig:
    tree: dict[str, Any] = {"stage": stage}
    for dotted, setting in given.items():
        section, _, leaf = dotted.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[leaf] = setting.value
    try:
        return VtkConfig.model_validate(tree, context={"is_reference_needed": is_reference_needed})
    except ValidationError as error:
        raise _explain(error, given) from error


def _explain(error: ValidationError, given: Mapping[str, Given]) -> ConfigError:
    """The first faults of a rejected configuration, each with its value and source."""
    lines, hints = [], []
    for fault in error.errors()[:5]:
        dotted = ".".join(str(part) for part in fault["loc"][:2])
        source = given[dotted].source if dotted in given else "default"
        reason = fault["msg"][:1].lower() + fault["msg"][1:]
        lines.append(f"{dotted} = {fault['input']!r} ({source}): {reason}")
        if dotted in known_keys():
            hints.append(f"{dotted}: {known_keys()[dotted].description}")
    return ConfigError("\n".join(lines), hint="\n".join(dict.fromkeys(hints)) or None)
