"""The frozen model that the KL term is measured against: the one the user named, always.

It is a model of its own, the adapter "ref" beside the policy's, or, for the ablation
`--reference self`, the policy's own start. Its weights' hash is recorded, and checked again when a
run is resumed.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from transformers.utils.peft_utils import find_adapter_config_file

from vtk.config.schema import VtkConfig
from vtk.config.sections import SAME_DEVICE
from vtk.errors import ConfigError
from vtk.models.adapters import (
    REFERENCE_ADAPTER,
    adapter_base,
    attach_reference_adapter,
    use_reference,
)
from vtk.models.hub_cache import located
from vtk.models.loader import load_policy, weights_hash
from vtk.rollout.embeddings import has_frozen_tower
from vtk.rollout.generate import (
    Rollout,
    SamplingSettings,
    ShouldStop,
    base_model,
    sampling_mode,
)
from vtk.rollout.prompts import PromptInputs
from vtk.rollout.shared import generate_shared
from vtk.train.forward import ScoringBatch, TokenScores

SELF = "self"

Kind = Literal["model", "adapter", "start"]


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference of one run.

    Attributes:
        path: What was named, resolved; "self" for the policy's own start.
        kind: "model" is a second model, "adapter" the adapter "ref" on the policy's base, "start"
            that base without any adapter.
        sha256: Hash of its weights; the policy's adapter is never part of it.
        model: The second model, or None.
        has_policys_tower: Whether its vision tower is the policy's, so that features computed with
            that one are its own too.
    """

    path: str
    kind: Kind
    sha256: str
    model: Any | None = None
    has_policys_tower: bool = False

    def scorer(self, policy: Any) -> Any:
        """The model that computes the reference's scores: itself, or the policy with adapters."""
        return policy if self.model is None else self.model

    def score(self, policy: Any, batch: ScoringBatch) -> TokenScores:
        """Score completions with the reference, without gradient and without dropout.

        A reference on a device of its own gets the batch there, and its scores come back.

        Args:
            policy: The model that holds the adapters; not used when the reference is a model.
            batch: What to score.
        """
        scored_by = base_model(self.scorer(policy))
        if not self.has_policys_tower:
            prompts = replace(batch.prompts, video_features_VH=None)
            batch = replace(batch, prompts=prompts)
        with torch.no_grad(), sampling_mode(scored_by), self._as_reference(policy):
            # As `install_scoring` set it up.
            scores: TokenScores = scored_by(scoring=batch.to(scored_by.device))
            return scores.to(batch.completion_ids_NL.device)

    def answer(
        self,
        policy: Any,
        processor: Any,
        prompts: PromptInputs,
        sampling: SamplingSettings,
        should_stop: ShouldStop,
    ) -> Rollout:
        """One completion a prompt, written by the reference.

        Args:
            policy: The model that holds the adapters; not used when the reference is a model.
            processor: The policy's own.
            prompts: B prompts.
            sampling: How tokens are drawn, by a stream a prompt that is always the same.
            should_stop: Asked after every token.

        Raises:
            Interrupted: `should_stop` said yes.
        """
        model, seeds = self.scorer(policy), [0] * prompts.num_prompts
        if not self.has_policys_tower:
            prompts = replace(prompts, video_features_VH=None)
        with self._as_reference(policy):
            return generate_shared(model, processor, prompts, sampling, 1, seeds, should_stop)

    @contextmanager
    def _as_reference(self, policy: Any) -> Iterator[None]:
        contexts: dict[Kind, Any] = {"model": nullcontext}
        if self.model is None:
            contexts |= {"adapter": lambda: use_reference(policy), "start": policy.disable_adapter}
        with contexts[self.kind]():
            yield


def load_reference(
    policy: Any, path: Path | str, start: Path | str, config: VtkConfig
) -> Reference:
    """Load the model that a run names as its reference.

    Args:
        policy: With LoRA it gets the adapter "ref" where the reference is an adapter of its base.
        path: A model or adapter folder, a hub id, or "self".
        start: The model folder or hub id that the policy started from.
        config: The run's settings.

    Raises:
        ConfigError: A device of its own is asked for, but it is the policy's own weights.
        DataError: There is no such model, or its adapter does not fit.
    """
    has_adapter = hasattr(policy, "peft_config")
    is_elsewhere = config.reference.device != SAME_DEVICE
    if is_elsewhere and has_adapter and (path == SELF or _shares_base(path, start)):
        raise ConfigError(
            f"reference.device is {config.reference.device}, but the reference {path} lies on the "
            "policy's own weights and takes no second model",
            "Leave reference.device out.",
        )
    if path == SELF and has_adapter:
        sha256 = weights_hash(policy, adapter=REFERENCE_ADAPTER)
        return Reference(SELF, "start", sha256, has_policys_tower=True)
    if path != SELF and has_adapter and _shares_base(path, start):
        attach_reference_adapter(policy, path)
        sha256 = weights_hash(policy, adapter=REFERENCE_ADAPTER)
        return Reference(str(path), "adapter", sha256, has_policys_tower=True)
    named = start if path == SELF else path
    model, _ = load_policy(named, config.model, merge_adapter=False)
    model.requires_grad_(False)
    sha256 = weights_hash(model)
    has_policys_tower = _has_frozen_tower_of(policy, model)
    # A sharded module has one owner, and a module is in one place.
    if has_policys_tower and config.model.sharding == "none" and not is_elsewhere:
        base_model(model).model.visual = base_model(policy).model.visual
    return Reference(str(path), "model", sha256, model, has_policys_tower)


def refuse_equal(policy_sha256: str, policy_path: Path | str, reference: Reference) -> None:
    """Refuse a reference that is the policy itself, unless that was asked for.

    Args:
        policy_sha256: Hash of the weights that the policy starts from.
        policy_path: Where they are.
        reference: What was loaded.

    Raises:
        ConfigError: They are the same model.
    """
    if reference.path == SELF:
        return
    if reference.sha256 == policy_sha256 or str(policy_path) == reference.path:
        raise ConfigError(
            f"the reference {reference.path} has the same weights as the policy {policy_path}: "
            "the run would push the policy away from itself",
            "Name the bias model (train one with `vtk train-bias`); "
            "if the ablation is meant, ask for it with --reference self.",
        )


def _has_frozen_tower_of(policy: Any, model: Any) -> bool:
    """Whether the policy's vision tower is frozen and a second model's has the same weights."""
    ours, theirs = base_model(policy), base_model(model)
    if not has_frozen_tower(ours):
        return False
    own_state, other_state = (each.model.visual.state_dict() for each in (ours, theirs))
    return own_state.keys() == other_state.keys() and all(
        torch.equal(tensor, other_state[name]) for name, tensor in own_state.items()
    )


def _shares_base(path: Path | str, start: Path | str) -> bool:
    """Whether a reference is an adapter whose base is what the policy's adapter lies on.

    A hub id and the folder of its cached snapshot are one model.
    """
    if find_adapter_config_file(str(path)) is None:
        return False
    base = adapter_base(path)
    return str(base) == str(start) or _place(base) == _place(start)


def _place(named: Path | str) -> Path | str:
    found = located(named)
    return Path(found).resolve() if Path(found).is_dir() else found
