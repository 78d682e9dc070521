"""How much work an engine gives the model: rows and tokens counted, the same on every machine."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor


@dataclass(slots=True)
class Work:
    """What went through a model.

    Attributes:
        num_patches: Rows into the vision tower.
        num_tokens: Tokens into the language model, padding included.
    """

    num_patches: int = 0
    num_tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        """The counts as plain data."""
        return asdict(self)


def count_work(model: Any, run: Callable[[], object]) -> Work:
    """Run a computation once and count what it gives the model."""
    work = Work()

    def see_patches(_: object, args: tuple[Tensor, ...]) -> None:
        work.num_patches += args[0].shape[0]

    def see_tokens(_: object, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> None:
        states = args[0] if args else kwargs["hidden_states"]
        work.num_tokens += states.shape[0] * states.shape[1]

    hooks = [
        model.model.visual.patch_embed.register_forward_pre_hook(see_patches),
        model.model.language_model.layers[0].register_forward_pre_hook(
            see_tokens, with_kwargs=True
        ),
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return work
