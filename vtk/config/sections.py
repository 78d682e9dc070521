"""The sections of a configuration: one strict, frozen model each.

Every field says what it is and in which unit; its default is the published recipe's value where
there is one (github.com/falonss703/VideoThinker, scripts/grpo.sh). This imports only pydantic.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SAME_DEVICE: Final = "same"


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, no silent conversion, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelSettings(Section):
    """The policy's weights and how they are computed with."""

    path: str = Field(
        default="Qwen/Qwen2.5-VL-3B-Instruct",
        min_length=1,
        description='Policy to start from: "tiny" (shipped with vtk), a run, a folder or a hub id.',
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Number format of the weights; auto: bfloat16 on a GPU, else float32.",
    )
    attention: Literal["sdpa", "flash_attention_2", "eager"] = Field(
        default="sdpa",
        description="Attention kernel; flash_attention_2 needs the flash-attn package.",
    )
    freeze_vision: bool = Field(
        default=False,
        description="Keep the vision tower's weights as they are (with LoRA they always are).",
    )
    gradient_checkpointing: bool = Field(
        default=True,
        description="Recompute activations in the backward pass: less memory, about 20 % slower.",
    )
    sharding: Literal["none", "zero2", "fsdp2"] = Field(
        default="none",
        description="fsdp2 cuts weights, gradients and optimizer state over the processes "
        "(ZeRO-3); zero2 leaves the weights whole between a forward and its backward.",
    )


class LoraSettings(Section):
    """Low-rank adapters: the policy's and the bias model's share one set of base weights."""

    enabled: bool = Field(default=False, description="Train an adapter instead of all weights.")
    rank: int = Field(default=64, ge=1, description="Rank of the adapter's matrices.")
    alpha: float = Field(
        default=128.0,
        gt=0,
        description="Scale of the adapter: its output is multiplied by alpha / rank.",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout probability on the adapter's input."
    )
    target_modules: list[str] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        min_length=1,
        description="Names of the language model's linear layers that get an adapter.",
    )


class ReferenceSettings(Section):
    """The model that the KL term is measured against."""

    path: str | None = Field(
        default=None,
        min_length=1,
        description='The bias model: run, folder, hub id, or "self" (the policy at its start).',
    )
    device: str = Field(
        default=SAME_DEVICE,
        pattern=r"^(same|cpu|cuda(:\d+)?)$",
        description='Where a second model is kept and computes: "same" as the policy, "cpu", or a '
        'GPU such as "cuda:1".',
    )


class DataSettings(Section):
    """Which questions are trained and tested on."""

    dataset: str | None = Field(
        default=None,
        min_length=1,
        description="Name of a prepared data set; gives the files that are not named one by one.",
    )
    train: str | None = Field(
        default=None,
        min_length=1,
        description="Training questions, .jsonl or published .json; wins over dataset.",
    )
    validation: str | None = Field(
        default=None,
        min_length=1,
        description="Held-out questions, .jsonl or published .json; wins over dataset.",
    )
    max_samples: int | None = Field(
        default=None, ge=1, description="Use at most this many training questions; none is all."
    )
    stratify: bool = Field(
        default=False,
        description="When max_samples cuts, keep the shares of types and of correct options.",
    )
    max_skipped_frac: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Stop once more than this share of the questions could not be read.",
    )


class VideoSettings(Section):
    """How a clip becomes frames."""

    num_frames: int = Field(default=16, ge=2, description="Frames sampled evenly from a clip.")
    fps: float | None = Field(
        default=None,
        gt=0,
        description="Sample this many frames a second instead, at most num_frames; none is evenly.",
    )
    min_pixels_px: int = Field(
        default=3136, ge=784, description="Least width times height of a frame, in pixels."
    )
    max_pixels_px: int = Field(
        default=100_352, ge=784, description="Greatest width times height of a frame, in pixels."
    )
    decoder: Literal["auto", "pyav", "decord", "torchcodec"] = Field(
        default="auto", description="Video decoder; auto takes the fastest that works here."
    )
    cache_gib: float = Field(
        default=10.0,
        ge=0,
        description="Bound on decoded clips kept on disk (vtk data cache), in GiB; 0 is off.",
    )
    prefetch: bool = Field(
        default=True,
        description="Prepare the next questions while the model works on these; same results.",
    )


class PromptSettings(Section):
    """The words around the question."""

    template: Literal["paper", "mini"] = Field(
        default="paper",
        description="paper asks for <think> and <answer> tags; mini is the question alone.",
    )
    max_prompt_tokens: int = Field(
        default=4096,
        ge=1,
        description="Longest prompt in tokens, video included; a longer one is an error, not cut.",
    )


class RolloutSettings(Section):
    """How completions are sampled; all is set, so that no checkpoint's own defaults apply."""

    num_generations: int = Field(
        default=8, ge=2, description="Completions per prompt: the group that advantages compare."
    )
    max_completion_tokens: int = Field(
        default=768, ge=1, description="Longest completion in tokens."
    )
    temperature: float = Field(default=1.0, gt=0, description="Sampling temperature.")
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Sample from the smallest set with this probability; 1 is off.",
    )
    top_k: int = Field(default=0, ge=0, description="Sample from the k likeliest tokens; 0 is off.")
    min_p: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Drop tokens below this share of the likeliest; 0 is off.",
    )
    repetition_penalty: float = Field(
        default=1.0, gt=0, description="Penalty on tokens already used; 1 is off."
    )
    engine: Literal["reference", "shared", "static"] = Field(
        default="shared",
        description="shared computes a prompt once for all its completions; static does too, and "
        "decodes in fixed shapes that a GPU records and replays; reference repeats the prompt.",
    )


class RewardSettings(Section):
    """What a completion is rewarded for."""

    accuracy: Literal["soft", "strict"] = Field(
        default="soft",
        description="soft gives part of the point for a correct subset; strict does not.",
    )
    accuracy_weight: float = Field(default=1.0, ge=0, description="Weight of the accuracy reward.")
    format_weight: float = Field(default=1.0, ge=0, description="Weight of the format reward.")


class ObjectiveSettings(Section):
    """The loss: clipped policy gradient plus beta times a KL term against the reference."""

    beta: float = Field(
        default=0.0,
        ge=-10,
        le=10,
        description="KL coefficient: negative repels, positive attracts, zero is off.",
    )
    repulsion: Literal["paper", "hinge", "npo"] = Field(
        default="paper",
        description="Form of the KL term; hinge and npo bound the push of a negative beta.",
    )
    hinge_margin: float = Field(
        default=2.0,
        gt=0,
        description="hinge: log-ratio in nats from which a token is no longer pushed.",
    )
    npo_temperature: float = Field(
        default=0.1, gt=0, description="npo: temperature of the sigmoid weight."
    )
    clip_low: float = Field(
        default=0.20,
        ge=0,
        lt=1,
        description="The probability ratio is clipped below at 1 - clip_low.",
    )
    clip_high: float = Field(
        default=0.28, ge=0, description="The probability ratio is clipped above at 1 + clip_high."
    )
    log_ratio_clamp: float = Field(
        default=11.0,
        gt=0,
        le=80,
        description="Clamp on the log-ratio to the reference, in nats, before the KL term.",
    )


class OptimSettings(Section):
    """The optimizer (AdamW) and its schedule."""

    learning_rate: float = Field(default=1e-6, gt=0, description="Peak learning rate.")
    schedule: Literal["linear", "constant", "cosine"] = Field(
        default="linear", description="Decay after the warm-up."
    )
    warmup_steps: int = Field(
        default=0, ge=0, description="Steps over which the learning rate rises from zero."
    )
    weight_decay: float = Field(default=0.0, ge=0, description="Decoupled weight decay.")
    adam_beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of AdamW's first moment.")
    adam_beta2: float = Field(
        default=0.999, ge=0, lt=1, description="Decay of AdamW's second moment."
    )
    max_grad_norm: float = Field(
        default=20.0, gt=0, description="Gradients are scaled down to at most this norm."
    )
    num_steps: int = Field(default=500, ge=1, description="Optimizer steps of the run.")
    prompts_per_device: int = Field(
        default=1, ge=1, description="Prompts per device and backward pass."
    )
    accumulation_steps: int = Field(
        default=1, ge=1, description="Backward passes per optimizer step."
    )


class CheckpointSettings(Section):
    """When the run can be resumed from."""

    every_steps: int = Field(
        default=100, ge=0, description="Steps between checkpoints; 0 saves only the last step."
    )
    keep: int = Field(default=2, ge=1, description="Newest checkpoints kept on disk.")


class RecordSettings(Section):
    """What is written down beside the completions, for people who look at them."""

    token_kl: bool = Field(
        default=True,
        description="Record each completion token's signed KL, so that texts can be tinted by it.",
    )
    bias_answers: bool = Field(
        default=False,
        description="Also record what the bias model answers, and per question type how often the "
        "policy answers the same (bias_agreement/...): one more completion a question.",
    )
    frames_per_clip: int = Field(
        default=8,
        ge=0,
        le=32,
        description="Small pictures kept of the frames that the model saw of a clip; 0 is none.",
    )
    frame_width_px: int = Field(
        default=48, ge=8, le=512, description="Width of such a picture, in pixels."
    )


class GuardSettings(Section):
    """Limits that a healthy run keeps; crossing one is an alert with its evidence. None is off."""

    on_breach: Literal["alert", "stop"] = Field(
        default="stop",
        description="stop also ends the run with exit code 5 (non-finite values always can).",
    )
    max_nonfinite_steps: int = Field(
        default=3,
        ge=1,
        description="Stop after this many steps in a row whose loss or gradient was not finite.",
    )
    kl_budget_step: float | None = Field(
        default=None,
        gt=0,
        description="Greatest absolute signed KL of one step, in nats per token.",
    )
    kl_budget_run: float | None = Field(
        default=None,
        gt=0,
        description="Greatest absolute signed KL over the window: how far the run may go in all.",
    )
    entropy_floor: float | None = Field(
        default=None, ge=0, description="Least mean entropy of the policy, in nats per token."
    )
    reward_floor: float | None = Field(
        default=None,
        ge=0,
        description="Least mean reward over the window; below it the reward has collapsed.",
    )
    format_floor: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least mean format reward over the window, before its weight.",
    )
    truncated_frac_max: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Greatest share of completions cut at their length limit over the window.",
    )
    zero_variance_frac_max: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Greatest share of groups with equal rewards, which teach nothing (window).",
    )
    grad_norm_max: float | None = Field(
        default=None, gt=0, description="Greatest gradient norm of one step, before clipping."
    )
    grad_spike_ratio: float | None = Field(
        default=None,
        gt=1,
        description="Greatest gradient norm of one step over the median of the window before it.",
    )
    logp_gap_max: float | None = Field(
        default=None,
        gt=0,
        description="Greatest log-probability gap of a token, in nats, sampled against trained on.",
    )
    window_steps: int = Field(
        default=20, ge=1, description="Steps that the windowed limits average over."
    )
