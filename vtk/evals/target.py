"""Which model is judged, with which settings, and in which run its results go."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from vtk.config.files import stages_of
from vtk.config.loading import Resolved, load_config
from vtk.config.schema import VtkConfig
from vtk.errors import DataError
from vtk.evals.backends import Backend, TransformersBackend
from vtk.evals.folder import SETTINGS_FILE, settings_hash
from vtk.evals.protocols import Protocol
from vtk.evals.session import Inquiry
from vtk.evals.settings import EvaluationSettings
from vtk.evals.suites import Suite
from vtk.evals.vllm_backend import BATCH_SIZE, open_vllm
from vtk.evals.vllm_inputs import VLLM
from vtk.models.loader import attention_kernel, load_policy, resolve_model_path, weights_hash
from vtk.rollout.generate import SamplingSettings
from vtk.runs.files import read_json
from vtk.runs.store import RunPaths, create_run, list_runs
from vtk.video.frames import FrameSettings

EVAL_STAGE: Final = "eval"
_TINY: Final = "tiny"
_PRESET_STAGE: Final = "grpo"
_PROMPT_BOUND: Final = "prompt.max_prompt_tokens"
_KEYS: Final[dict[str, set[str]]] = {
    "num_frames": {"eval.num_frames", "video.num_frames"},
    "fps": {"video.fps", "eval.num_frames", "video.num_frames"},
    "rounding": {"video.fps", "eval.num_frames", "video.num_frames"},
    "min_pixels_px": {"video.min_pixels_px"},
    "max_pixels_px": {"eval.max_pixels_px", "video.max_pixels_px"},
    "temperature": {"eval.temperature"},
    "top_p": {"rollout.top_p"},
    "max_completion_tokens": {"eval.max_completion_tokens"},
}
"""What a protocol fixes -> the settings by which the user overrides it; who gives a number of
frames wants exactly so many, unless a rate is given too."""


@dataclass(frozen=True)
class Target:
    """A model to judge.

    Attributes:
        ref: As the user named it.
        path: Its folder or hub id.
        run: The training run that made it; None for any other model.
        resolved: The settings it is judged with.
    """

    ref: str
    path: Path | str
    run: RunPaths | None
    resolved: Resolved

    @property
    def config(self) -> VtkConfig:
        """The settings it is judged with."""
        return self.resolved.config

    @property
    def origin(self) -> dict[str, str]:
        """Where the model came from, for people; the weights' hash is what identifies it."""
        return {"ref": self.ref, "path": str(self.path)}


def find_target(
    ref: str,
    runs_dir: Path,
    preset: str | None = None,
    config_file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Target:
    """Find a model and the settings to judge it with.

    A run's model is judged with the run's own settings, the shipped model with the preset tiny,
    any other with the defaults; a preset or a file given here comes first.

    Args:
        ref: "tiny", a run, a checkpoint or model folder, or a hub id.
        runs_dir: The folder of all runs.
        preset: A preset's name.
        config_file: A TOML file or a run's config.json.
        overrides: Dotted key to value; None means not given.

    Raises:
        ConfigError: A setting is unknown or invalid.
        DataError: There is no such model.
    """
    path = resolve_model_path(ref, runs_dir)
    run = _owning_run(path)
    stage: str = _PRESET_STAGE
    if preset is None and config_file is None:
        if run is not None and run.config_json.is_file():
            config_file = run.config_json
        elif ref == _TINY:
            preset = _TINY
    if config_file is not None:
        stage = stages_of(config_file)[-1]
    resolved = load_config(stage, preset, config_file, overrides, is_reference_needed=False)
    return Target(ref, path, run, resolved)


def evaluation_settings(
    config: VtkConfig,
    suite: Suite,
    num_draws: int = 1,
    seed: int | None = None,
    protocol: Protocol | None = None,
    given: Collection[str] = (),
    engine: str | None = None,
) -> EvaluationSettings:
    """How a configuration asks the questions of a suite.

    Args:
        config: The settings; `eval` comes before what training used.
        suite: Its template, if it has one, comes first.
        num_draws: Completions per question.
        seed: Decides the draws; the configuration's when None.
        protocol: Asks and scores instead of the suite; what it fixes comes before the settings.
        given: Dotted keys that the user gave for this evaluation; they come before the protocol.
        engine: What makes the completions; the configuration's when None.
    """
    eval_, rollout = config.eval, config.rollout
    settings = EvaluationSettings(
        template=suite.template or config.prompt.template,
        frames=_frames(config),
        sampling=SamplingSettings(
            max_completion_tokens=eval_.max_completion_tokens,
            temperature=eval_.temperature,
            top_p=rollout.top_p,
            top_k=rollout.top_k,
            min_p=rollout.min_p,
            repetition_penalty=rollout.repetition_penalty,
        ),
        batch_size=_batch_size(config, engine, given),
        num_draws=num_draws,
        seed=config.seed if seed is None else seed,
        max_prompt_tokens=config.prompt.max_prompt_tokens,
        engine=engine or rollout.engine,
        clip_patience_s=eval_.clip_patience_s,
        has_strategies=suite.has_strategies,
    )
    return settings if protocol is None else _under_protocol(settings, protocol, set(given))


def _batch_size(config: VtkConfig, engine: str | None, given: Collection[str]) -> int:
    is_chosen = engine != VLLM or "eval.batch_size" in given
    return config.eval.batch_size if is_chosen else BATCH_SIZE


def _frames(config: VtkConfig) -> FrameSettings:
    video, eval_ = config.video, config.eval
    return FrameSettings(
        num_frames=eval_.num_frames or video.num_frames,
        fps=video.fps,
        min_pixels_px=video.min_pixels_px,
        max_pixels_px=eval_.max_pixels_px or video.max_pixels_px,
        decoder=video.decoder,
    )


def _under_protocol(
    settings: EvaluationSettings, protocol: Protocol, given: set[str]
) -> EvaluationSettings:
    """The settings with what the protocol fixes, but for what the user gave."""
    fixed = {
        name: getattr(protocol, name)
        for name, keys in _KEYS.items()
        if getattr(protocol, name) is not None and not given & keys
    }
    frames = {key: value for key, value in fixed.items() if hasattr(settings.frames, key)}
    wanted = frames.get("max_pixels_px", settings.frames.max_pixels_px)
    least = frames.get("min_pixels_px", settings.frames.min_pixels_px)
    sampling = {key: value for key, value in fixed.items() if key not in frames}
    return replace(
        settings,
        protocol=protocol,
        frames=replace(settings.frames, **frames | {"min_pixels_px": min(least, wanted)}),
        sampling=replace(settings.sampling, **sampling),
        max_prompt_tokens=settings.max_prompt_tokens if _PROMPT_BOUND in given else None,
    )


def load_target(
    target: Target, asked: Sequence[EvaluationSettings]
) -> tuple[Backend, dict[str, Any]]:
    """Load a target onto the GPU if there is one.

    Args:
        target: The model.
        asked: How it will be asked, which decides how much memory an engine reserves.

    Returns:
        What answers, and what identifies the computation: the weights' sha256, their number format
        and the attention kernel in use.

    Raises:
        MissingEnvironmentError: The backend is not installed here.
        DataError: The model cannot be loaded.
    """
    if target.config.eval.backend == VLLM:
        return open_vllm(target.path, target.config.model, asked)
    import torch

    model, processor = load_policy(target.path, target.config.model, merge_adapter=False)
    identity = {
        "weights_sha256": weights_hash(model),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "attention": attention_kernel(model),
    }
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return TransformersBackend(model, processor), identity


def find_run(
    target: Target,
    inquiries: Sequence[Inquiry],
    runs_dir: Path,
    argv: Sequence[str] = (),
    is_new: bool = False,
) -> RunPaths:
    """The run in which the results go.

    A run's model keeps its results in its own run. Any other model gets a run of stage "eval": the
    newest one that was asked the same by the same weights, so that repeating a command goes on
    where it stopped, else a new one.

    Args:
        target: The model.
        inquiries: What is asked of it.
        runs_dir: The folder of all runs.
        argv: The command line, for a new run's record.
        is_new: Make a new run of stage "eval" in any case.
    """
    run = target.run or (None if is_new else _same_inquiry_before(inquiries, runs_dir))
    return run or create_run(
        runs_dir,
        EVAL_STAGE,
        argv=argv,
        config=target.config.model_dump(mode="json"),
        provenance=target.resolved.provenance,
        extra={"model": target.origin},
    )


def is_eval_run(run: RunPaths) -> bool:
    """Whether a run was made by `vtk eval` and does nothing else."""
    try:
        return read_json(run.run_json).get("stage") == EVAL_STAGE
    except DataError:
        return False


def _same_inquiry_before(inquiries: Sequence[Inquiry], runs_dir: Path) -> RunPaths | None:
    wanted = {one.name: settings_hash(one.as_json()) for one in inquiries}
    for run in list_runs(runs_dir):
        if is_eval_run(run) and any(
            _stored_hash(run.eval_dir(suite)) == digest for suite, digest in wanted.items()
        ):
            return run
    return None


def _stored_hash(folder: Path) -> str | None:
    path = folder / SETTINGS_FILE
    try:
        found = read_json(path).get("hash") if path.is_file() else None
    except DataError:
        return None
    return found if isinstance(found, str) else None


def _owning_run(path: Path | str) -> RunPaths | None:
    """The run whose checkpoint a path is."""
    if isinstance(path, str):
        return None
    run = RunPaths(path.absolute().parent.parent)
    is_checkpoint = path.absolute().parent == run.checkpoints_dir
    return run if is_checkpoint and run.exists() else None
