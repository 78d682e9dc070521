"""A stage of `vtk mini pretrain` on the disk every so often, so that it goes on where it was.

```
OUT/.vision/checkpoints/step_000400/     weights, optimizer, schedule, random state, newest numbers
OUT/.language/…                          likewise; each is deleted when its stage is done
```
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.torch import load_file, save_file
from torch import nn

from vtk.runs.files import storage_error
from vtk.runs.store import RunPaths
from vtk.train.checkpoint import CheckpointStore
from vtk.train.pretrain.descent import Descent
from vtk.train.saved_state import (
    load_optimizer,
    load_progress,
    load_schedule,
    save_optimizer,
    save_progress,
    save_schedule,
)
from vtk.train.sharding import whole_moments

SAVE_EVERY_STEPS: Final = 200
NUM_KEPT_NUMBERS: Final = 50


class StageProgress:
    """Saves and restores one stage; a resumed stage ends as an uninterrupted one, bit for bit.

    Args:
        folder: Of the pretraining.
        name: Of the stage.
        settings: What decides the stage; progress made with others is dropped.
    """

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        self.root, self.settings = folder / f".{name}", settings
        self.history: list[dict[str, float]] = []
        self._store = CheckpointStore(RunPaths(self.root), num_kept=1)

    def restore(
        self, modules: Mapping[str, nn.Module], descent: Descent, rng: np.random.Generator
    ) -> int:
        """Put back what was saved last.

        Args:
            modules: Name -> what is trained.
            descent: Their optimizer and schedule.
            rng: What draws the batches.

        Returns:
            The steps that are done; 0 where nothing was saved with these settings.
        """
        step, _ = self._store.newest_good()
        if step is None:
            return 0
        folder = self._store.paths.checkpoint_dir(step)
        progress = load_progress(folder)
        if progress["settings"] != self.settings:
            self.discard()
            return 0
        for name, module in modules.items():
            module.load_state_dict(load_file(folder / f"{name}.safetensors"))
        load_optimizer(folder, descent.optimizer)
        load_schedule(folder, descent.schedule)
        for group, betas in zip(descent.optimizer.param_groups, progress["betas"], strict=True):
            group["betas"] = tuple(betas)  # a one-cycle schedule moves them, too
        rng.bit_generator.state = progress["rng"]
        self.history = progress["history"]
        return step

    def note(
        self,
        step: int,
        modules: Mapping[str, nn.Module],
        descent: Descent,
        rng: np.random.Generator,
    ) -> None:
        """Save, if it is time to.

        Args:
            step: Steps done.
            modules: As for `restore`.
            descent: As for `restore`.
            rng: As for `restore`.

        Raises:
            VtkError: It cannot be written.
        """
        if step % SAVE_EVERY_STEPS != 0:
            return
        folder = self._store.begin(step)
        try:
            for name, module in modules.items():
                save_file(module.state_dict(), folder / f"{name}.safetensors")
            save_optimizer(folder, whole_moments(descent.optimizer))
            save_schedule(folder, descent.schedule)
            progress = {
                "settings": dict(self.settings),
                "rng": rng.bit_generator.state,
                "betas": [group["betas"] for group in descent.optimizer.param_groups],
                "history": self.history[-NUM_KEPT_NUMBERS:],
            }
            save_progress(folder, progress)
        except OSError as error:
            raise storage_error(folder, error) from error
        self._store.commit(folder, step, {})
        self._store.delete_old()

    def discard(self) -> None:
        """Delete what was saved, when the stage is done."""
        if self.root.is_dir():
            shutil.rmtree(self.root)
