"""Which code makes completions, by the name that `rollout.engine` gives it."""

from typing import Final

from vtk.rollout.generate import generate
from vtk.rollout.shared import generate_shared

ENGINES: Final = {"reference": generate, "shared": generate_shared}
"""Every prompt G times over by the library's own generation, or each prompt once."""
