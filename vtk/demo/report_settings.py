"""The report's record: how to repeat it, and the resolved configuration of each run."""

import json
from collections.abc import Mapping
from typing import Any, Final

from vtk.demo.report_results import table_of, title_of
from vtk.evals.folder import flatten
from vtk.format import MISSING, format_bytes, format_duration_s
from vtk.svg import element, safe

_DEFAULT: Final = "default"


def step_table(document: Mapping[str, Any]) -> str:
    """Every command that was run, with its wall time."""
    rows = [
        [
            element("code", {}, safe(step["command"])),
            safe(step["title"]),
            safe(format_duration_s(step["wall_s"])),
        ]
        for step in document["steps"]
    ]
    return table_of(["command", "what it does", "wall time"], rows, text_columns=2)


def machine_table(document: Mapping[str, Any]) -> str:
    """The machine, the packages and the code."""
    machine, code = document["machine"], document["code"]
    changed = " with changes" if code["dirty"] else ""
    facts = {
        "code": f"{code['commit']}{changed}" if code["commit"] else code["absent_reason"],
        "system": machine["platform"],
        "Python": machine["python"],
        "processors": machine["num_cpus"],
        "memory": format_bytes(machine["memory_bytes"]),
    }
    facts |= {name: found for name, found in document["packages"].items() if found}
    rows = [[safe(name), safe(value)] for name, value in facts.items()]
    return table_of(["what", "value"], rows, text_columns=2)


def config_tables(configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Settings on which the runs differ, then all of them with their origin, folded away.

    Args:
        configs: Run's name -> its config.json: `config` and `provenance`.
    """
    values = {name: flatten(found["config"]) for name, found in configs.items()}
    keys = sorted({key for flat in values.values() for key in flat})
    differing = [
        key for key in keys if len({_shown(flat.get(key)) for flat in values.values()}) > 1
    ]
    origins = {key: _origins(key, configs) for key in keys}
    return _config_table(differing, values, origins) + element(
        "details",
        {},
        element("summary", {}, f"All {len(keys)} settings"),
        _config_table(keys, values, origins),
    )


def _origins(key: str, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Where the runs' values of one setting came from."""
    found = [str(one["provenance"].get(key, _DEFAULT)) for one in configs.values()]
    return ", ".join(dict.fromkeys(found))


def _config_table(
    keys: list[str], values: Mapping[str, Mapping[str, Any]], origins: Mapping[str, str]
) -> str:
    rows = [
        [
            element("code", {}, safe(key)),
            *(safe(_shown(flat.get(key))) for flat in values.values()),
            safe(origins[key]),
        ]
        for key in keys
    ]
    columns = ["setting", *(title_of(name) for name in values), "from"]
    return table_of(columns, rows, text_columns=len(columns))


def _shown(value: Any) -> str:
    if value is None:
        return MISSING
    return value if isinstance(value, str) else json.dumps(value)
