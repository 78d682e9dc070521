"""The whole configuration of one training run, and the rules that hold between its sections.

A contradiction raises `ConfigError` when the configuration is built, with the way out in its hint,
so no later code has to ask whether its settings make sense together.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, model_validator

from vtk.config.evaluation import EvalSettings
from vtk.config.sections import (
    SAME_DEVICE,
    CheckpointSettings,
    DataSettings,
    GuardSettings,
    LoraSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimSettings,
    PromptSettings,
    RecordSettings,
    ReferenceSettings,
    RewardSettings,
    RolloutSettings,
    Section,
    VideoSettings,
)
from vtk.errors import ConfigError

Stage = Literal["bias", "cdpo", "grpo"]
STAGES: tuple[Stage, ...] = get_args(Stage)
PUBLISHED_BETA = -0.01


class VtkConfig(Section):
    """Everything that decides what a training run does."""

    stage: Stage = Field(
        description="bias: observational questions only; cdpo: away from that model; grpo: plain."
    )
    seed: int = Field(
        default=42, ge=0, lt=2**32, description="Seed of sampling, data order and initialisation."
    )
    model: ModelSettings = ModelSettings()
    lora: LoraSettings = LoraSettings()
    reference: ReferenceSettings = ReferenceSettings()
    data: DataSettings = DataSettings()
    video: VideoSettings = VideoSettings()
    prompt: PromptSettings = PromptSettings()
    rollout: RolloutSettings = RolloutSettings()
    reward: RewardSettings = RewardSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    optim: OptimSettings = OptimSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    eval: EvalSettings = EvalSettings()
    record: RecordSettings = RecordSettings()
    guards: GuardSettings = GuardSettings()

    @model_validator(mode="before")
    @classmethod
    def _give_cdpo_its_beta(cls, data: Any) -> Any:
        """The published coefficient where a CDPO run sets none; the other stages keep zero."""
        if not isinstance(data, Mapping) or data.get("stage") != "cdpo":
            return data
        objective = data.get("objective", {})
        if isinstance(objective, ObjectiveSettings):
            objective = objective.model_dump(exclude_unset=True)
        if not isinstance(objective, Mapping) or "beta" in objective:
            return data
        return {**data, "objective": {**objective, "beta": PUBLISHED_BETA}}

    @model_validator(mode="after")
    def _refuse_contradictions(self, info: ValidationInfo) -> Self:
        context = info.context or {}
        _check_objective(self, is_reference_needed=context.get("is_reference_needed", True))
        _check_what_is_measured(self, is_reference_needed=context.get("is_reference_needed", True))
        _check_video(self)
        _check_rewards(self)
        _check_judge(self)
        return self


def _check_what_is_measured(config: VtkConfig, *, is_reference_needed: bool) -> None:
    """Refuse settings that would watch or record what this run does not measure."""
    guards = config.guards
    without_reference = {
        "guards.kl_budget_step": guards.kl_budget_step is not None,
        "guards.kl_budget_run": guards.kl_budget_run is not None,
        "record.bias_answers": config.record.bias_answers,
    }
    idle = [name for name, is_set in without_reference.items() if is_set]
    if idle and config.reference.path is None and (config.stage != "cdpo" or is_reference_needed):
        raise ConfigError(
            f"{idle[0]} is set, but this run has no reference model to measure against",
            hint="Name one with --bias-model RUN, or leave the setting out.",
        )
    if guards.logp_gap_max is not None and config.rollout.engine == "reference":
        raise ConfigError(
            "guards.logp_gap_max is set, but rollout.engine=reference does not measure that gap",
            hint="Take rollout.engine=shared, or leave the guard out.",
        )


def describe_objective(config: VtkConfig) -> str:
    """Say in one sentence what the KL term of this run does.

    >>> describe_objective(VtkConfig(stage="grpo"))
    'plain GRPO, no KL term'
    >>> describe_objective(VtkConfig(stage="cdpo", reference=ReferenceSettings(path="runs/bias-1")))
    'repels from the bias model in runs/bias-1, strength 0.01'
    """
    beta, path = config.objective.beta, config.reference.path
    subject = {
        None: "a bias model still to be named",
        "self": "its own starting weights (ablation)",
    }.get(path, f"the bias model in {path}")
    if beta == 0:
        return "plain GRPO, no KL term" + (
            f"; the distance to {subject} is only measured" if path else ""
        )
    form = "" if config.objective.repulsion == "paper" else f" ({config.objective.repulsion} form)"
    verb = "repels from" if beta < 0 else "attracts to"
    return f"{verb} {subject}, strength {abs(beta):g}{form}"


def describe_attention(kernel: str, engine: str) -> str:
    """Say which attention kernels a run computes with.

    Args:
        kernel: The model's own, `model.attention`.
        engine: `rollout.engine`: all but the reference engine score and decode the language model
            by torch's scaled dot product, whatever the model's kernel is.

    >>> describe_attention("eager", "shared")
    'eager in the vision tower, sdpa in the language model'
    """
    if engine == "reference" or kernel == "sdpa":
        return kernel
    return f"{kernel} in the vision tower, sdpa in the language model"


class WrongStage(ConfigError):
    """Settings that are right, but for another stage."""


def _check_objective(config: VtkConfig, *, is_reference_needed: bool) -> None:
    beta, path = config.objective.beta, config.reference.path
    if config.stage != "cdpo" and beta != 0:
        raise WrongStage(
            f"train-{config.stage} has no KL term, but objective.beta is {beta:g}",
            hint="Use `vtk train-cdpo`, or leave --beta out.",
        )
    if config.stage == "cdpo" and beta == 0:
        raise WrongStage(
            "train-cdpo with objective.beta = 0 has no KL term: that is plain GRPO",
            hint="Use `vtk train-grpo`, or give a negative --beta to repel (published: -0.01).",
        )
    if beta != 0 and path is None and is_reference_needed:
        raise ConfigError(
            f"objective.beta is {beta:g}, but no reference.path names the model it refers to",
            hint="Give the bias model with `--bias-model RUN` (`vtk train-bias` makes one).",
        )
    if config.reference.device != SAME_DEVICE and config.model.sharding != "none":
        raise ConfigError(
            f"reference.device is {config.reference.device}, but model.sharding cuts the reference "
            "over the policy's devices",
            hint="Leave one of the two out.",
        )
    if path is not None and path != "self" and path == config.model.path:
        raise ConfigError(
            f"reference.path and model.path are both {path!r}: the policy against itself",
            hint="If that ablation is what you want, ask for it with `--reference self`.",
        )


def _check_video(config: VtkConfig) -> None:
    video, max_eval_px = config.video, config.eval.max_pixels_px
    if video.min_pixels_px > video.max_pixels_px:
        raise ConfigError(
            f"video.min_pixels_px ({video.min_pixels_px}) is above "
            f"video.max_pixels_px ({video.max_pixels_px})",
            hint="Raise max_pixels_px or lower min_pixels_px.",
        )
    if max_eval_px is not None and max_eval_px < video.min_pixels_px:
        raise ConfigError(
            f"eval.max_pixels_px ({max_eval_px}) is below "
            f"video.min_pixels_px ({video.min_pixels_px})",
            hint="Raise eval.max_pixels_px, or leave it out to evaluate as in training.",
        )


def _check_rewards(config: VtkConfig) -> None:
    if config.reward.accuracy_weight == 0 and config.reward.format_weight == 0:
        raise ConfigError(
            "reward.accuracy_weight and reward.format_weight are both 0: nothing is rewarded",
            hint="Set at least one of them above 0 (published: 1 and 1).",
        )


def _check_judge(config: VtkConfig) -> None:
    url, model = config.eval.judge_url, config.eval.judge_model
    if (url is None) != (model is None):
        given, missing = (
            ("judge_url", "judge_model") if model is None else ("judge_model", "judge_url")
        )
        raise ConfigError(
            f"eval.{given} is set, but no eval.{missing}",
            hint="A judge needs both: --judge-url https://HOST/v1 --judge-model NAME.",
        )
    if url is not None and not _is_plain_address(url):
        raise ConfigError(  # the value may hold a password: it is not repeated
            "eval.judge_url is no plain address of an API",
            hint="Write it as https://HOST/v1, without user, password, query or fragment; the key "
            "goes into the environment variable VTK_JUDGE_KEY.",
        )


def _is_plain_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, or no IPv6 address
        return False
    return is_whole and url.isprintable() and not set(url) & set("@?#\\ ")
