"""What a run is made from, pinned when it is created: models, question files, their hashes.

A name such as a run's id means its newest checkpoint *now*; pinning keeps every attempt of a run on
the same one. Nothing heavy is imported, so that a wrong name is an error before any process starts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from vtk.config.schema import Stage, VtkConfig
from vtk.data.registry import split_file
from vtk.data.sample import load_samples
from vtk.data.split_files import whole_split_file
from vtk.errors import ConfigError, DataError
from vtk.hints import split_hint
from vtk.models.sources import resolve_model_path
from vtk.runs.files import file_sha256, read_json
from vtk.runs.store import RunPaths

SELF_REFERENCE = "self"
INPUTS_KEY = "inputs"


def read_config(paths: RunPaths) -> VtkConfig:
    """The settings that a run was created with."""
    return VtkConfig.model_validate(read_json(paths.config_json)["config"])


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """Where everything that a run reads is; paths are absolute, hub ids are as given.

    Attributes:
        model: What the policy starts from.
        reference: What the KL term is measured against; "self" for the policy's start, or None.
        train: The training questions.
        train_sha256: Hash of that file.
        validation: The held-out questions, or None.
        suite: What held-out results are called.
    """

    model: str
    reference: str | None
    train: str
    train_sha256: str
    validation: str | None
    suite: str

    def refuse_other_data(self) -> None:
        """Refuse training questions that are not those the run was made with.

        Raises:
            DataError: The file is gone, or has other content.
        """
        path = Path(self.train)
        if not path.is_file():
            raise DataError(f"there is no data file {path}", "Put it back, or start a new run.")
        if file_sha256(path) != self.train_sha256:
            raise DataError(
                f"the training data {path} are not those that the run was made with: "
                f"their sha256 was {self.train_sha256}",
                "Put the file back as it was, or start a new run.",
            )

    def as_json(self) -> dict[str, Any]:
        """The inputs as plain data, for run.json."""
        return asdict(self)

    @classmethod
    def from_run(cls, run_json: Mapping[str, Any]) -> Self:
        """The inputs that a run was created with.

        Raises:
            DataError: It was not created by a training command.
        """
        found = run_json.get(INPUTS_KEY)
        if not isinstance(found, Mapping):
            raise DataError("run.json names no training inputs", "Start a new run.")
        return cls(**found)


def pin_inputs(config: VtkConfig, data_dir: Path, runs_dir: Path) -> TrainingInputs:
    """Find everything that a run needs.

    Raises:
        ConfigError: No training questions are named, the reference is the policy, or an adapter
            would be trained on another adapter.
        DataError: A file, run or model is not there, a split is not whole, or a question is
            malformed.
    """
    train = question_file(config, data_dir, "train")
    if train is None:
        raise ConfigError(
            "no training questions are named",
            "Give --data with a data set's name, or with a .jsonl or .json file. clevrer-mini is "
            f"made by: {split_hint('clevrer-mini', data_dir).removeprefix('Get it with: ')}",
        )
    validation = question_file(config, data_dir, "validation")
    needs_validation = config.eval.every_steps > 0
    if validation is None and needs_validation:
        raise ConfigError(
            f"eval.every_steps is {config.eval.every_steps}, but no held-out questions are named",
            "Set data.validation, or eval.every_steps=0.",
        )
    if validation is not None and not validation.is_file() and not needs_validation:
        validation = None
    inputs = TrainingInputs(
        model=_pinned_policy(config, runs_dir),
        reference=_pinned_reference(config, runs_dir),
        train=str(_existing(config, data_dir, "train", train)),
        train_sha256=file_sha256(train),
        validation=None
        if validation is None
        else str(_existing(config, data_dir, "validation", validation)),
        suite=config.data.dataset or (validation.stem if validation else "none"),
    )
    load_samples(train)  # a malformed row is told before any run is made
    return inputs


def question_file(config: VtkConfig, data_dir: Path, part: str) -> Path | None:
    """The file of one part ("train" or "validation"): named itself, or the data set's.

    The bias stage trains on the data set's observational questions.
    """
    named = _named(config, part)
    if named is not None:
        return Path(named).absolute()
    if config.data.dataset is None:
        return None
    return split_file(data_dir, config.data.dataset, _split_part(config.stage, part)).absolute()


def _split_part(stage: Stage, part: str) -> str:
    return "bias" if stage == "bias" and part == "train" else part


def _named(config: VtkConfig, part: str) -> str | None:
    return config.data.train if part == "train" else config.data.validation


def _existing(config: VtkConfig, data_dir: Path, part: str, path: Path) -> Path:
    """The file of a part, if it is there and, where it is the data set's, of a whole split."""
    dataset = config.data.dataset
    if dataset is not None and _named(config, part) is None:
        whole_split_file(data_dir, dataset, _split_part(config.stage, part))
    elif not path.is_file():
        hint = split_hint(dataset, data_dir) if dataset else "Check the path."
        raise DataError(f"there is no data file {path}", hint)
    return path


def _pinned(ref: str, runs_dir: Path) -> str:
    found = resolve_model_path(ref, runs_dir)
    return str(found.resolve()) if isinstance(found, Path) else found


def _pinned_policy(config: VtkConfig, runs_dir: Path) -> str:
    pinned = _pinned(config.model.path, runs_dir)
    if config.lora.enabled and (Path(pinned) / "adapter_config.json").is_file():
        raise ConfigError(
            f"{pinned} is an adapter, and an adapter cannot be trained on top of another: only "
            "the last would be saved",
            "Start from the model that it lies on, or train all weights with --full.",
        )
    return pinned


def _pinned_reference(config: VtkConfig, runs_dir: Path) -> str | None:
    path = config.reference.path
    if path is None or path == SELF_REFERENCE:
        return path
    pinned = _pinned(path, runs_dir)
    if pinned == _pinned(config.model.path, runs_dir):
        raise ConfigError(
            f"the reference {path} and the policy {config.model.path} are the same model: {pinned}",
            "Name the bias model; if the ablation is meant, ask for it with --reference self.",
        )
    return pinned
