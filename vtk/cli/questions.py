"""What `vtk eval` asks: which suites, which of their questions, in which words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vtk.cli.console import Console
from vtk.errors import ConfigError, DataError
from vtk.format import format_count
from vtk.hints import nearest_hint, split_hint

if TYPE_CHECKING:
    from vtk.data.benchmarks.rows import Questions
    from vtk.evals.protocols import Protocol
    from vtk.evals.suites import Suite
    from vtk.runs.store import RunPaths

ALL_SUITES: Final = "all"
_MAX_PROMPT_FILE_CHARS: Final = 20_000


@dataclass(frozen=True)
class Words:
    """How the user changes a protocol.

    Attributes:
        prompt_file: Holds the words to ask in; None asks in the protocol's.
        is_slip: Show the recipe's clips at the resolution of its scripts' slip.
    """

    prompt_file: Path | None
    is_slip: bool

    def require_use(
        self,
        protocols: "Mapping[str, Sequence[Protocol | None]]",
        given: Collection[str] = (),
    ) -> None:
        """Refuse a change that would change nothing.

        Args:
            protocols: Suite -> the protocols that it is asked under.
            given: Dotted keys that the user gave.

        Raises:
            ConfigError: A suite is asked under no protocol that is changed, or a resolution is
                given beside the slip's.
        """
        if self.is_slip and {"eval.max_pixels_px", "video.max_pixels_px"} & set(given):
            raise ConfigError(
                "--resolution-slip contradicts a greatest number of pixels that is given too",
                "Give one of the two.",
            )
        for option, is_given, names in (
            ("--prompt-file", self.prompt_file is not None, ("official", "recipe")),
            ("--resolution-slip", self.is_slip, ("recipe",)),
        ):
            idle = [
                suite
                for suite, known in protocols.items()
                if not any(one is not None and one.name in names for one in known)
            ]
            if is_given and idle:
                raise ConfigError(
                    f"{option} changes nothing for {', '.join(idle)}",
                    f"It is for suites that are asked by the protocol {' or '.join(names)}: leave "
                    "it away, or name suites and --protocol accordingly.",
                )

    def applied(self, protocol: "Protocol | None") -> "Protocol | None":
        """The protocol as changed; a suite without one stays as it is.

        Raises:
            DataError: The prompt file cannot be read.
            ConfigError: It does not say where the question goes.
        """
        from vtk.evals.protocols import SLIP_PIXELS_PX

        if protocol is None:
            return None
        if self.is_slip and protocol.name == "recipe":
            protocol = replace(protocol, max_pixels_px=SLIP_PIXELS_PX)
        return protocol if self.prompt_file is None else protocol.with_words(self._text())

    def _text(self) -> str:
        assert self.prompt_file is not None
        try:
            text = self.prompt_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read {self.prompt_file}: {error}") from error
        if len(text) > _MAX_PROMPT_FILE_CHARS:
            raise DataError(f"{self.prompt_file} is too long for a prompt: {len(text)} characters")
        return text.removesuffix("\n")


def require_suites(names: Sequence[str]) -> None:
    """Refuse a misspelt suite before anything heavy is loaded.

    Raises:
        ConfigError: There is no such suite; the hint names the nearest and all.
    """
    from vtk.data.benchmarks.table import BENCHMARKS
    from vtk.data.registry import DATASETS

    known = [*DATASETS, *BENCHMARKS, ALL_SUITES]
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no suite {name!r}", nearest_hint(name, known, "Suites"))


def chosen_suites(
    names: Sequence[str], data_dir: Path, part: str, protocol: str, console: Console
) -> "list[Suite]":
    """The suites that were named; for "all", those whose questions are here and have the protocol.

    Raises:
        ConfigError: There is no such suite.
        DataError: No suite's questions are here.
    """
    from vtk.evals.suites import SUITES, find_suite, has_protocol, is_here

    if ALL_SUITES not in names:
        return [find_suite(name) for name in dict.fromkeys(names)]
    ready = []
    for suite in SUITES.values():
        if not is_here(suite, data_dir, part):
            console.warn(f"{suite.name} is left out: {data_dir} has no questions of it")
        elif not has_protocol(suite, protocol):
            console.note(f"{suite.name} is left out: it has no {protocol} protocol")
        else:
            ready.append(suite)
    if not ready:
        raise DataError(
            f"{data_dir} has no suite's questions for --protocol {protocol}",
            "They are asked with --protocol official. "
            + split_hint("clevrer-mini", data_dir).replace("Get it", "Make some"),
        )
    return ready


def read_questions(
    console: Console, suites: "Sequence[Suite]", data_dir: Path, part: str, file: Path | None
) -> "dict[str, Questions]":
    """The questions by suite; says what of a benchmark is missing here.

    Raises:
        ConfigError: A file for more than one suite, or no such part.
        DataError: Data are missing or malformed.
    """
    from vtk.data.benchmarks.table import BENCHMARKS
    from vtk.evals.suites import read_suite

    if file is not None and len(suites) > 1:
        raise ConfigError(
            "--questions names the file of one suite", "Evaluate one suite at a time with it."
        )
    found = {suite.name: read_suite(suite, data_dir, part, file) for suite in suites}
    for name, questions in found.items():
        note = BENCHMARKS[name].counts_note(questions) if name in BENCHMARKS else None
        if note is not None:
            console.warn(note)
    return found


def known_bad_clips(console: Console, suites: "Sequence[Suite]", data_dir: Path) -> dict[Path, str]:
    """Clips that `vtk data check` found bad and that have not changed since."""
    from vtk.data.verdicts import MANIFEST, known_problems

    found: dict[Path, str] = {}
    for name in dict.fromkeys(suite.dataset for suite in suites):
        problems = known_problems(data_dir / name)
        if problems:
            console.note(f"{data_dir / name / MANIFEST} names bad clips: {len(problems)}")
        found |= problems
    return found


def show_leaks(
    console: Console, run: "RunPaths | None", questions: "Mapping[str, Questions]"
) -> dict[str, Any]:
    """What each suite shares with the questions that the model was trained on, by suite.

    Empty for a model that is no run, or whose training questions are no longer there.
    """
    from vtk.evals.leaks import training_file

    trained = None if run is None else training_file(run)
    if trained is None:
        return {}
    if not trained.is_as_trained:
        console.warn(
            f"no leak check: the training file has changed since: {trained.path}; it is not what "
            "the model was trained on"
        )
        found = {"training_file": str(trained.path), "training_file_changed": True}
        return dict.fromkeys(questions, found)
    return {
        name: _show_leak(console, trained.path, name, asked) for name, asked in questions.items()
    }


def _show_leak(console: Console, train_file: Path, name: str, asked: "Questions") -> dict[str, Any]:
    from vtk.evals.leaks import find_leaks

    leak = find_leaks(train_file, asked.samples)
    console.paragraph(
        f"Leak check of {name} against {train_file}: of {format_count(leak.num_questions)} "
        f"questions {format_count(leak.num_on_shared_clips)} are about clips that it uses, "
        f"{format_count(leak.num_in_same_words)} are asked there in the same words, "
        f"{format_count(leak.num_both)} are both"
    )
    if leak.num_both:
        console.warn(f"{name} was trained on in part: {', '.join(leak.examples)}, …")
    if leak.num_same_world:
        console.note(
            f"{format_count(leak.num_same_world)} questions of {name} are about scenes of "
            "CLEVRER, like those that the model was trained on"
        )
    return {"training_file": str(train_file), "training_file_changed": False, **leak.as_json()}
