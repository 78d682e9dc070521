"""Which code makes completions, by the name that `rollout.engine` gives it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from vtk.rollout.generate import Rollout, generate
from vtk.rollout.shared import generate_shared

ENGINES: Final[Mapping[str, Callable[..., Rollout]]] = {
    "reference": generate,
    "shared": generate_shared,
    "static": partial(generate_shared, is_static=True),
}
"""Every prompt G times over by the library's own generation; each once; that, with steps that a GPU
records and replays."""
