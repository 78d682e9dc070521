"""The suites: which questions an evaluation asks, and how a subset of them is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from vtk.data.benchmarks.published import read_published
from vtk.data.benchmarks.rows import Questions
from vtk.data.benchmarks.table import BENCHMARKS, benchmark_dir
from vtk.data.registry import split_file
from vtk.data.sample import VideoSample, load_samples
from vtk.data.split_files import whole_split_file
from vtk.errors import ConfigError, DataError
from vtk.evals.protocols import PROTOCOL_NAMES, PROTOCOLS, Protocol
from vtk.hints import download_hint, nearest_hint, split_hint

DEFAULT_PART = "validation"
BOTH = "both"


@dataclass(frozen=True, slots=True)
class Suite:
    """One named set of questions.

    Attributes:
        name: How commands and result folders call it.
        dataset: The data set whose split files hold the questions, or the benchmark.
        title: One sentence for people.
        template: The prompt's template; None asks as the model was trained to be asked.
        has_strategies: Whether completions show which of clevrer-mini's two strategies they follow.
        label: What its numbers are called; None is its name.
        judged_label: The same where a judge scores a part of them; None is `label`.
    """

    name: str
    dataset: str
    title: str
    template: str | None = None
    has_strategies: bool = False
    label: str | None = None
    judged_label: str | None = None


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="clevrer-mini",
            dataset="clevrer-mini",
            title="Counterfactual questions about clips of sliding discs, made on this machine.",
            has_strategies=True,
        ),
        Suite(
            name="clevrer",
            dataset="clevrer",
            title="CLEVRER's counterfactual questions with at least one correct option.",
        ),
        *(
            Suite(b.name, b.name, b.title, label=b.label, judged_label=b.judged_label)
            for b in BENCHMARKS.values()
        ),
    )
}


def find_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        ConfigError: There is none; the hint names near ones, or all.
    """
    if name in SUITES:
        return SUITES[name]
    hint = nearest_hint(name, SUITES, "Suites")
    raise ConfigError(f"there is no suite {name!r}", hint)


def choose_protocols(suite: Suite, wanted: str) -> list[Protocol | None]:
    """The protocols that a suite is asked under; None stands for the one grader alone.

    Args:
        suite: From `find_suite`.
        wanted: official, recipe or both; both is as much of it as the suite has.

    Raises:
        ConfigError: The suite has no such protocol, or there is none of this name.
    """
    if wanted not in (*PROTOCOL_NAMES, BOTH):
        hint = nearest_hint(wanted, (*PROTOCOL_NAMES, BOTH), "Protocols")
        raise ConfigError(f"there is no protocol {wanted!r}", hint)
    known = PROTOCOLS.get(suite.name, {})
    official, recipe = known.get("official"), known.get("recipe")
    if not has_protocol(suite, wanted):
        raise ConfigError(
            f"suite {suite.name} has no recipe protocol", "Ask it with --protocol official."
        )
    if wanted == "official" or recipe is None:
        return [official]
    return [recipe] if wanted == "recipe" else [official, recipe]


def has_protocol(suite: Suite, wanted: str) -> bool:
    """Whether a suite can be asked so; the recipe is what some lack."""
    return wanted != "recipe" or wanted in PROTOCOLS.get(suite.name, {})


def load_questions(suite: Suite, data_dir: Path, part: str = DEFAULT_PART) -> list[VideoSample]:
    """The questions that `read_suite` finds."""
    return read_suite(suite, data_dir, part).samples


def read_suite(
    suite: Suite, data_dir: Path, part: str = DEFAULT_PART, file: Path | None = None
) -> Questions:
    """The questions of one part of a suite, in the files' order, and what is left out of it.

    Args:
        suite: From `find_suite`.
        data_dir: The folder of all data sets.
        part: train, bias or validation; a benchmark has validation only.
        file: Evaluation file of the published recipe to take the questions from.

    Raises:
        ConfigError: No such part.
        DataError: The data or the split are not there or not whole, or a file is malformed.
    """
    if file is not None:
        return read_published(file, suite.dataset, benchmark_dir(data_dir, suite.dataset))
    if suite.dataset in BENCHMARKS:
        return _read_benchmark(suite, data_dir, part)
    path = split_file(data_dir, suite.dataset, part)
    if not path.is_file():
        raise DataError(
            f"suite {suite.name} needs {path}, which is not there",
            split_hint(suite.dataset, data_dir),
        )
    return Questions(load_samples(whole_split_file(data_dir, suite.dataset, part)))


def is_here(suite: Suite, data_dir: Path, part: str) -> bool:
    """Whether this machine has the questions of a suite."""
    if suite.dataset in BENCHMARKS:
        return part == DEFAULT_PART and benchmark_dir(data_dir, suite.dataset).is_dir()
    return split_file(data_dir, suite.dataset, part).is_file()


def _read_benchmark(suite: Suite, data_dir: Path, part: str) -> Questions:
    if part != DEFAULT_PART:
        raise ConfigError(f"{suite.name} has no part {part!r}", f"Its part is {DEFAULT_PART}.")
    root = benchmark_dir(data_dir, suite.dataset)
    if not root.is_dir():
        raise DataError(
            f"suite {suite.name} needs {root}, which is not there",
            download_hint(suite.dataset, data_dir),
        )
    return BENCHMARKS[suite.dataset].convert(root)


def draw_subset(
    samples: Sequence[VideoSample], num_samples: int | None, seed: int = 0
) -> list[VideoSample]:
    """A fixed random subset, in the order of `samples`.

    A question's place in the draw depends on its id and the seed alone, so a larger subset holds
    the smaller one, and the same questions are drawn on every machine.

    Args:
        samples: All questions.
        num_samples: How many to keep; None keeps all.
        seed: Which ones.
    """
    if num_samples is None or num_samples >= len(samples):
        return list(samples)
    ranked = sorted(
        samples, key=lambda sample: sha256(f"{seed}:{sample.sample_id}".encode()).digest()
    )
    kept = {sample.sample_id for sample in ranked[:num_samples]}
    return [sample for sample in samples if sample.sample_id in kept]
