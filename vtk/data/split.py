"""`vtk split`: counterfactual questions become train, bias and validation files with a manifest.

The same input gives the same bytes. An older split stays as it is until the new one is whole on the
disk; data that can no longer be split make it void.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vtk.data.labelling import LabelledPart, label_part, malformed_as_json
from vtk.data.registry import PARTS, Dataset, questions_file, split_dir
from vtk.data.rules import DEFAULT_RULE, RULES
from vtk.data.spilled_rows import Row
from vtk.data.split_files import filling, replace_split, void_split
from vtk.data.subset import bias_rows, thin_out
from vtk.errors import ConfigError, DataError, VtkError
from vtk.format import format_count, format_percent
from vtk.hints import download_hint, nearest_hint
from vtk.runs.files import file_sha256, write_json_atomic, write_pieces_atomic

BIAS_QUESTIONS = ("original", "modified")
PROBLEMS_FILE = "problems.json"
_DISTRIBUTION = "videothinker-toolkit"


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How to split.

    Attributes:
        rule: Which reading of "observational" becomes the label.
        bias_questions: `original`, or `modified` to take the intervention out of bias.jsonl.
        observational_frac: Thin train.jsonl out to this share of observational questions; None
            keeps the natural one.
        seed: Decides which questions `observational_frac` leaves out.
        max_malformed_frac: More malformed questions than this share stop the split.
    """

    rule: str = DEFAULT_RULE
    bias_questions: str = "original"
    observational_frac: float | None = None
    seed: int = 0
    max_malformed_frac: float = 0.01

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            hint = nearest_hint(self.rule, RULES, "Rules")
            raise ConfigError(f"there is no rule {self.rule!r}", hint)
        if self.bias_questions not in BIAS_QUESTIONS:
            hint = nearest_hint(self.bias_questions, BIAS_QUESTIONS, "Forms")
            raise ConfigError(f"there is no form {self.bias_questions!r} of bias questions", hint)
        if self.observational_frac is not None and not 0 < self.observational_frac < 1:
            raise ConfigError(
                f"the observational share must lie between 0 and 1, not {self.observational_frac}"
            )
        if not 0 <= self.max_malformed_frac <= 1:
            raise ConfigError(
                f"the malformed share must be from 0 to 1, not {self.max_malformed_frac}"
            )


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What was found and written.

    Attributes:
        folder: Where the files lie.
        parts: What was found in each part.
        manifest: As written.
        num_missing_videos: Clips of usable questions that are not on this disk yet.
    """

    folder: Path
    parts: Mapping[str, LabelledPart]
    manifest: Mapping[str, Any]
    num_missing_videos: int


def split_dataset(
    root: Path,
    dataset: Dataset,
    options: SplitOptions,
    on_scene: Callable[[str], None] | None = None,
) -> SplitResult:
    """Labels the questions below `root` and writes `root/split`.

    Args:
        root: The data set's folder, in CLEVRER's layout.
        dataset: Its entry in the registry.
        options: How to split.
        on_scene: Called with the part after each of its scenes.

    Raises:
        DataError: Questions are missing or damaged, too many are malformed, none is usable, train
            and validation share a clip, or a question's intervention cannot be taken out.
        VtkError: A file cannot be written.
    """
    _check_inputs(root, dataset)
    parts = {part: label_part(root, part, options.rule, on_scene) for part in PARTS}
    folder = split_dir(root)
    try:
        _check_usable(folder, parts, options.max_malformed_frac)
        leakage = _check_leakage(parts)
    except DataError:
        void_split(folder)
        _write_problems(folder, parts)
        raise
    with filling(folder) as filled:
        _write_problems(filled, parts)
        outputs = _write_parts(filled, parts, options)
        manifest = _manifest(root, dataset, options, parts) | {
            "outputs": outputs,
            "leakage": leakage,
        }
        replace_split(folder, filled, manifest)
    return SplitResult(folder, parts, manifest, _count_missing_videos(root, parts))


def _write_parts(
    folder: Path, parts: Mapping[str, LabelledPart], options: SplitOptions
) -> dict[str, Any]:
    """Write the files of questions; what was written, by their names."""
    train, held_out = (parts[part].rows for part in PARTS)
    mixed: Sequence[Row] = train
    if options.observational_frac is not None:
        mixed = thin_out(train, options.observational_frac, options.seed)
    bias = bias_rows(train, options.bias_questions)
    files: dict[str, Iterable[Row]] = {"train": mixed, "bias": bias, "validation": held_out}
    named = {f"{name}.jsonl": rows for name, rows in files.items()}
    return {name: _write_rows(folder / name, rows) for name, rows in named.items()}


def _manifest(
    root: Path, dataset: Dataset, options: SplitOptions, parts: Mapping[str, LabelledPart]
) -> dict[str, Any]:
    """What the files are made from, and how."""
    return {
        "dataset": dataset.name,
        "tool": _DISTRIBUTION,
        "tool_version": version(_DISTRIBUTION),
        "rule": options.rule,
        "rule_sentence": RULES[options.rule].sentence,
        "options": asdict(options),
        "inputs": {part: _describe_inputs(root, found) for part, found in parts.items()},
        "counts": {part: count_part(found) for part, found in parts.items()},
    }


def _check_inputs(root: Path, dataset: Dataset) -> None:
    missing = [path for part in PARTS if not (path := questions_file(root, part)).is_file()]
    if missing:
        fault = f"{dataset.name} is not complete: there is no {missing[0]}"
        raise DataError(fault, download_hint(dataset.name, root.parent))


def count_part(found: LabelledPart) -> dict[str, Any]:
    """The counts of one part, for the manifest and for `--json`."""
    tallies = {name: Counter[str]() for name in ("label", "polarity", "num_correct", "options")}
    for row in found.rows:
        for name in ("label", "polarity", "num_correct"):
            tallies[name][str(row[name])] += 1
        tallies["options"][str(len(row["options"]))] += 1
    label = tallies["label"]
    return {
        "num_scenes": found.counts["scenes"],
        "num_questions": found.counts["questions"],
        "num_counterfactual": found.counts["counterfactual"],
        "num_malformed": len(found.malformed),
        "num_zero_correct": len(found.zero_correct),
        "num_usable": len(found.rows),
        "num_observational": label["observational"],
        "num_inferential": label["inferential"],
        "observational_by_rule": found.count_by_rule(),
        "by_polarity": dict(sorted(tallies["polarity"].items())),
        "by_num_correct": dict(sorted(tallies["num_correct"].items())),
        "by_num_options": dict(sorted(tallies["options"].items())),
    }


def _write_problems(folder: Path, parts: Mapping[str, LabelledPart]) -> None:
    """The full list of what was left out."""
    problems = {
        part: {
            "malformed": malformed_as_json(found.malformed),
            "zero_correct": found.zero_correct,
        }
        for part, found in parts.items()
    }
    _write(folder / PROBLEMS_FILE, problems)


def _check_usable(folder: Path, parts: Mapping[str, LabelledPart], max_frac: float) -> None:
    for part, found in parts.items():
        num, among = len(found.malformed), found.num_judged
        report = folder / PROBLEMS_FILE
        if num > max_frac * among:
            raise DataError(
                f"{format_count(num)} of {format_count(among)} {part} questions are malformed, "
                f"more than {format_percent(max_frac)}; the first: {found.malformed[0]}",
                f"All of them are listed in {report}. "
                "Mend the data, or accept more with --max-malformed-frac.",
            )
        if not found.rows:
            raise DataError(
                f"{part} holds no usable counterfactual question "
                f"({format_count(among)} seen, {len(found.zero_correct)} without a correct option)",
                f"What was left out is listed in {report}.",
            )


def _check_leakage(parts: Mapping[str, LabelledPart]) -> dict[str, int]:
    """Held-out numbers mean nothing when a training clip is among them."""
    train, held_out = (parts[part] for part in PARTS)
    videos = {row["video"] for row in train.rows} & {row["video"] for row in held_out.rows}
    worlds = train.fingerprints.keys() & held_out.fingerprints.keys()
    if videos or worlds:
        world = next(iter(sorted(worlds)), None)
        clip = held_out.fingerprints[world] if world else min(videos)
        raise DataError(
            f"train and validation share {len(worlds | videos)} clips, for instance {clip}",
            "Generate or fetch the data again; results on shared clips would not be held out.",
        )
    return {"num_shared_clips": len(videos), "num_shared_worlds": len(worlds)}


def _write_rows(path: Path, rows: Iterable[Row]) -> dict[str, Any]:
    """Write rows one by one; what was written."""
    digest, num_bytes, label = sha256(), 0, Counter[str]()

    def lines() -> Iterator[bytes]:
        nonlocal num_bytes
        for row in rows:
            line = json.dumps(row).encode() + b"\n"
            digest.update(line)
            num_bytes += len(line)
            label[row["label"]] += 1
            yield line

    _write(path, lines())
    return {
        "sha256": digest.hexdigest(),
        "num_bytes": num_bytes,
        "num_rows": label.total(),
        "num_observational": label["observational"],
    }


def _write(path: Path, value: Any) -> None:
    try:
        if isinstance(value, Iterator):
            write_pieces_atomic(path, value)
        else:
            write_json_atomic(path, value)
    except DataError:  # of a row, not of the disk
        raise
    except VtkError as error:
        hint = "Free some space, or set another --data-dir." if error.hint else None
        raise VtkError(error.message, hint) from error


def _describe_inputs(root: Path, found: LabelledPart) -> dict[str, Any]:
    path = questions_file(root, found.part)
    return {
        "questions": path.relative_to(root).as_posix(),
        "questions_sha256": file_sha256(path),
        "annotations_sha256": found.annotations_sha256,
        "num_annotations": found.counts["annotations"],
    }


def _count_missing_videos(root: Path, parts: Mapping[str, LabelledPart]) -> int:
    videos = {row["video"] for found in parts.values() for row in found.rows}
    return sum(not (root / video).is_file() for video in videos)
