"""What a demo runs, with which numbers: the real commands, in the order in which they may start.

Every number that decides how long a demo takes stands here. The commands are those that a user
types, with the folders in `VTK_DATA_DIR` and `VTK_RUNS_DIR`.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from vtk.demo.results import MAIN_MODELS

DATASET: Final = "clevrer-mini"
PRESET: Final = "tiny"
BASE_RUN: Final = "{base-run}"
"""Stands in a command for the run that holds the base model's answers; its name is not known
before."""

GaugeKind = Literal["clips", "split", "train", "eval", "demo", "none"]


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What decides a demo's numbers.

    Attributes:
        is_quick: Whether it is cut short for a first look.
        num_scenes: Training clips.
        num_validation_scenes: Held-out clips.
        num_bias_steps: Optimizer steps of the bias model.
        num_policy_steps: Optimizer steps of GRPO and of CDPO.
        num_draws: Completions per held-out question and model.
        beta: CDPO's KL coefficient.
        temperature: Of the held-out answers; 1 as in training, since greedy answers would hide a
            mixture of strategies.
        seed: Decides the clips, the training and the answers.
        model: What is trained: "tiny" or a folder.
        has_variants: Whether to train the ablations too.
    """

    is_quick: bool
    num_scenes: int
    num_validation_scenes: int
    num_bias_steps: int
    num_policy_steps: int
    num_draws: int
    beta: float = -0.05
    temperature: float = 1.0
    seed: int = 0
    model: str = "tiny"
    has_variants: bool = False

    def as_json(self) -> dict[str, Any]:
        """The settings as plain data."""
        return asdict(self)

    def identity(self) -> dict[str, Any]:
        """What a folder belongs to: all but the ablations, which can be added to a demo."""
        return {name: value for name, value in asdict(self).items() if name != "has_variants"}


FULL: Final = DemoSettings(
    is_quick=False,
    num_scenes=200,
    num_validation_scenes=150,
    num_bias_steps=60,
    num_policy_steps=100,
    num_draws=2,
)
QUICK: Final = DemoSettings(
    is_quick=True,
    num_scenes=60,
    num_validation_scenes=40,
    num_bias_steps=12,
    num_policy_steps=16,
    num_draws=1,
)

# Seconds on one core of a two-core machine, for the time left before anything was measured.
_CLIP_S, _STEP_S, _ANSWER_S, _START_S = 0.12, 1.5, 0.06, 8.0
_QUESTIONS_PER_CLIP = 4


@dataclass(frozen=True, slots=True)
class Gauge:
    """How a step's progress is seen: what is counted, up to how many, and in which run.

    Of an evaluation `total` is the number of completions per question.
    """

    kind: GaugeKind
    total: int = 0
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a demo.

    Attributes:
        name: Its own name.
        title: What it does, for people.
        arguments: The command's words after `vtk`.
        needs: Steps that must be done before.
        gauge: How its progress is seen.
        cost_s: Seconds that it is expected to take on one core.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...]
    gauge: Gauge
    cost_s: float


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to train CDPO.

    Attributes:
        name: Of its run.
        title: What is different, for people.
        reference: What it is repelled from: the run "bias", or "self".
        beta: Its KL coefficient.
        repulsion: Form of the KL term; the preset's when None.
    """

    name: str
    title: str
    reference: str
    beta: float
    repulsion: str | None = None


def demo_settings(
    *, is_quick: bool, seed: int = 0, model: str = "tiny", has_variants: bool = False
) -> DemoSettings:
    """The settings of a quick or a full demo."""
    numbers = asdict(QUICK if is_quick else FULL)
    return DemoSettings(**numbers | {"seed": seed, "model": model, "has_variants": has_variants})


def variants_of(settings: DemoSettings) -> list[Variant]:
    """The ablations that a demo trains: the paper's rows in miniature, and the bounded terms."""
    if not settings.has_variants:
        return []
    beta = settings.beta
    return [
        Variant("cdpo-self", "repelled from itself", "self", beta),
        Variant("cdpo-attract", "attracted to the bias model", "bias", -beta),
        Variant("cdpo-weak", "a tenth of the repulsion", "bias", beta / 10),
        Variant("cdpo-strong", "ten times the repulsion", "bias", beta * 10),
        Variant("cdpo-hinge", "hinge repulsion", "bias", beta, "hinge"),
        Variant("cdpo-npo", "NPO repulsion", "bias", beta, "npo"),
    ]


def models_of(settings: DemoSettings) -> list[str]:
    """The models that are compared, in the order in which they are shown."""
    return [*MAIN_MODELS, *(variant.name for variant in variants_of(settings))]


def betas_of(settings: DemoSettings) -> dict[str, float]:
    """KL coefficient of each model that is trained against the bias model by the paper's formula.

    First-order analysis knows that formula only.
    """
    variants = [
        variant
        for variant in variants_of(settings)
        if variant.reference == "bias" and variant.repulsion is None
    ]
    return {"cdpo": settings.beta} | {variant.name: variant.beta for variant in variants}


def plan_steps(settings: DemoSettings) -> list[Step]:
    """The steps of a demo, those that should start first in front."""
    cdpo = Variant("cdpo", "CDPO", "bias", settings.beta)
    runs = [name for name in models_of(settings) if name != "base"]
    return [
        _download(settings),
        Step("split", "Label the questions", ("split", DATASET), ("download",), Gauge("split"), 3),
        _evaluation(settings, "base"),
        _training(settings, "bias", "bias", "the bias model", (), settings.num_bias_steps),
        _training(settings, "grpo", "grpo", "plain GRPO", (), settings.num_policy_steps),
        *(_cdpo_training(settings, variant) for variant in (cdpo, *variants_of(settings))),
        *(_evaluation(settings, name) for name in runs),
        _comparison(runs),
    ]


def resume_arguments(step: Step) -> tuple[str, ...]:
    """The command that goes on with a training run that was begun."""
    assert step.gauge.run is not None
    return (step.arguments[0], step.gauge.run, "--resume")


def _download(settings: DemoSettings) -> Step:
    num_clips = settings.num_scenes + settings.num_validation_scenes
    arguments = (
        "download",
        DATASET,
        *("--scenes", str(settings.num_scenes)),
        *("--validation-scenes", str(settings.num_validation_scenes)),
        *("--seed", str(settings.seed)),
    )
    gauge = Gauge("clips", num_clips)
    return Step("download", "Make clips", arguments, (), gauge, _CLIP_S * num_clips)


def _training(
    settings: DemoSettings,
    stage: str,
    run: str,
    what: str,
    extra: tuple[str, ...],
    num_steps: int,
) -> Step:
    arguments = (
        f"train-{stage}",
        *("--preset", PRESET),
        *(() if settings.model == "tiny" else ("--model", settings.model)),
        *extra,
        *("--max-steps", str(num_steps)),
        *("--seed", str(settings.seed)),
        *("--name", run),
    )
    return Step(
        name=f"train-{run}",
        title=f"Train {what}",
        arguments=arguments,
        needs=("train-bias",) if "bias" in extra else ("split",),
        gauge=Gauge("train", num_steps, run),
        cost_s=_START_S + _STEP_S * num_steps,
    )


def _cdpo_training(settings: DemoSettings, variant: Variant) -> Step:
    extra = (
        *("--bias-model", variant.reference),
        *("--beta", f"{variant.beta:g}"),
        *(() if variant.repulsion is None else ("--repulsion", variant.repulsion)),
    )
    what = "CDPO" if variant.name == "cdpo" else f"CDPO, {variant.title}"
    return _training(settings, "cdpo", variant.name, what, extra, settings.num_policy_steps)


def _evaluation(settings: DemoSettings, model: str) -> Step:
    num_answers = settings.num_validation_scenes * _QUESTIONS_PER_CLIP * settings.num_draws
    is_base = model == "base"
    arguments = (
        "eval",
        DATASET,
        *("--model", settings.model if is_base else model),
        *(("--preset", PRESET) if is_base else ()),
        *("--temperature", f"{settings.temperature:g}"),
        *("--samples-per-question", str(settings.num_draws)),
        *("--seed", str(settings.seed)),
        "--json",
    )
    return Step(
        name=f"eval-{model}",
        title=f"Ask {'the base model' if is_base else model} the held-out questions",
        arguments=arguments,
        needs=("split",) if is_base else (f"train-{model}",),
        gauge=Gauge("eval", settings.num_draws, None if is_base else model),
        cost_s=_START_S + _ANSWER_S * num_answers,
    )


def _comparison(runs: list[str]) -> Step:
    needs = ("eval-base", *(f"eval-{run}" for run in runs))
    arguments = ("compare", BASE_RUN, *runs)
    return Step("compare", "Compare them, pair by pair", arguments, needs, Gauge("none"), 4)
