"""The suites: which questions an evaluation asks, and how a subset of them is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

from vtk.data.registry import how_to_make_split, split_file
from vtk.data.sample import VideoSample, load_samples
from vtk.errors import ConfigError, DataError

DEFAULT_PART = "validation"


@dataclass(frozen=True, slots=True)
class Suite:
    """One named set of questions.

    Attributes:
        name: How commands and result folders call it.
        dataset: The registered data set whose split files hold the questions.
        title: One sentence for people.
        template: The prompt's template; None asks as the model was trained to be asked.
        has_strategies: Whether completions show which of clevrer-mini's two strategies they follow.
    """

    name: str
    dataset: str
    title: str
    template: str | None = None
    has_strategies: bool = False


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
    )
}


def find_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        ConfigError: There is none; the hint names near ones, or all.
    """
    if name in SUITES:
        return SUITES[name]
    near = get_close_matches(name, SUITES, n=1)
    known = f"Suites: {', '.join(SUITES)}."
    hint = f"Did you mean {near[0]}? {known}" if near else known
    raise ConfigError(f"there is no suite {name!r}", hint)


def load_questions(suite: Suite, data_dir: Path, part: str = DEFAULT_PART) -> list[VideoSample]:
    """The questions of one part of a suite, in the file's order.

    Args:
        suite: From `find_suite`.
        data_dir: The folder of all data sets.
        part: train, bias or validation.

    Raises:
        ConfigError: No such part.
        DataError: The split has not been made, or its file is malformed.
    """
    path = split_file(data_dir, suite.dataset, part)
    if not path.is_file():
        raise DataError(
            f"suite {suite.name} needs {path}, which is not there",
            how_to_make_split(suite.dataset),
        )
    return load_samples(path)


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
