"""What one `vtk eval` was asked for, and the inquiries that follow from it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vtk.cli.config import parse_assignments
from vtk.cli.console import Console
from vtk.cli.questions import Words, chosen_suites, read_questions
from vtk.format import visible_text
from vtk.runs.store import RunPaths

if TYPE_CHECKING:
    from vtk.data.benchmarks.rows import Questions
    from vtk.evals.backends import Backend
    from vtk.evals.judge import Judge
    from vtk.evals.protocols import Protocol
    from vtk.evals.session import Inquiry
    from vtk.evals.settings import EvaluationSettings
    from vtk.evals.suites import Suite
    from vtk.evals.target import Target

_GIVEN: Final = "command line"


@dataclass(frozen=True)
class Order:
    """The options of one command, each as `vtk eval --help` says."""

    suites: Sequence[str]
    model: str
    part: str
    questions: Path | None
    protocol: str
    words: Words
    num_draws: int
    seed: int | None
    preset: str | None
    config: Path | None
    overrides: Mapping[str, Any]
    name: str | None
    is_new: bool
    data_dir: Path
    runs_dir: Path


@dataclass(frozen=True)
class _Job:
    """One suite under one protocol; its judge, if it has questions for one."""

    suite: "Suite"
    protocol: "Protocol | None"
    settings: "EvaluationSettings"
    questions: "Questions"
    judge: "Judge | None"


@dataclass(frozen=True)
class ReadOrder:
    """An order whose questions and model have been found.

    Attributes:
        order: It.
        asked: The questions of each suite.
        target: The model and the settings to judge it with.
        jobs: What is asked, in order.
    """

    order: Order
    asked: "Mapping[str, Questions]"
    target: "Target"
    jobs: Sequence[_Job]

    @property
    def suites(self) -> "list[Suite]":
        """The suites, each once."""
        return list({job.suite.name: job.suite for job in self.jobs}.values())

    def open_backend(self) -> "tuple[Backend, dict[str, Any]]":
        """What answers, and what identifies the computation.

        Raises:
            MissingEnvironmentError: The backend is not installed here.
            DataError: The model cannot be loaded.
        """
        from vtk.evals.target import load_target

        return load_target(self.target, [job.settings for job in self.jobs])

    def inquiries(self, identity: Mapping[str, Any]) -> "list[Inquiry]":
        """What is asked; their folders are not known yet."""
        from vtk.evals.session import Inquiry
        from vtk.evals.suites import draw_subset

        config, given = self.target.config, self.target.resolved.provenance
        # The setting is what training evaluates now and then; a verdict asks everything.
        num_samples = config.eval.num_samples if given["eval.num_samples"] == _GIVEN else None
        seed = config.seed if self.order.seed is None else self.order.seed
        return [
            Inquiry(
                suite=job.suite,
                samples=draw_subset(job.questions.samples, num_samples, seed),
                settings=job.settings,
                model_identity=identity,
                folder=Path(),
                origin=self.target.origin,
                not_asked=job.questions.not_asked,
                variant=self.order.name,
                judge=job.judge,
            )
            for job in self.jobs
        ]

    def find_run(self, inquiries: "Sequence[Inquiry]") -> "RunPaths":
        """The run in which the results go, made if need be."""
        from vtk.evals.target import find_run

        return find_run(
            self.target, inquiries, self.order.runs_dir, sys.argv, is_new=self.order.is_new
        )


def given_settings(assignments: list[str] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of all that the command line sets; an option comes before `--set`.

    Args:
        assignments: Those of `--set`, KEY=VALUE.
        options: Dotted key -> an option's value; None is not given and leaves `--set` alone.

    Raises:
        ConfigError: An assignment is none.
    """
    given = {key: value for key, value in options.items() if value is not None}
    return parse_assignments(assignments) | given


def read_order(console: Console, order: Order) -> ReadOrder:
    """Find the questions and the model that were ordered.

    Raises:
        ConfigError: A suite, protocol or setting is unknown, or they do not fit together.
        DataError: Questions or the model are not here.
    """
    from vtk.evals.protocols import judged_kind, with_judged_forms
    from vtk.evals.suites import choose_protocols
    from vtk.evals.target import evaluation_settings, find_target

    if order.name is not None:
        RunPaths(order.runs_dir).eval_dir(order.name)  # refuses a name that is none
    suites = chosen_suites(order.suites, order.data_dir, order.part, order.protocol, console)
    protocols = {suite.name: choose_protocols(suite, order.protocol) for suite in suites}
    order.words.require_use(protocols, order.overrides)
    asked = read_questions(console, suites, order.data_dir, order.part, order.questions)
    target = find_target(order.model, order.runs_dir, order.preset, order.config, order.overrides)
    given = list(order.overrides)
    engine = None if target.config.eval.backend == "transformers" else target.config.eval.backend
    judge = _judge_of(console, order, target)
    jobs = []
    for suite in suites:
        for known in protocols[suite.name]:
            questions, protocol = asked[suite.name], order.words.applied(known)
            kind = judged_kind(protocol) if questions.judged else None
            own_judge = None
            if judge is not None and protocol is not None and kind is not None:
                questions, protocol = questions.with_judged(), with_judged_forms(protocol)
                own_judge = replace(judge, kind=kind)
            settings = evaluation_settings(
                target.config, suite, order.num_draws, order.seed, protocol, given, engine
            )
            jobs.append(_Job(suite, protocol, settings, questions, own_judge))
    _tell_of_judge(console, judge, jobs)
    return ReadOrder(order, asked, target, jobs)


def _judge_of(console: Console, order: Order, target: "Target") -> "Judge | None":
    """The judge that the user names; one that only the model's own run names is left alone.

    A run may come from somebody else, and a judge is told answers and given a key.
    """
    from vtk.evals.judge import chosen_judge

    judge = chosen_judge(target.config.eval)
    source = target.resolved.provenance["eval.judge_url"]
    is_own = order.config is not None or order.preset is not None
    if judge is None or is_own or source == _GIVEN or source.startswith("env "):
        return judge
    console.warn(
        f"the settings of {visible_text(target.ref)} name a judge at {visible_text(judge.host)}, "
        "which is not asked; name it with --judge-url and --judge-model if you want it"
    )
    return None


def _tell_of_judge(console: Console, judge: "Judge | None", jobs: "Sequence[_Job]") -> None:
    if judge is None:
        return
    names = ", ".join(job.suite.name for job in jobs if job.judge is not None)
    who = f"{visible_text(judge.model)} at {visible_text(judge.host)}"
    console.note(f"Judge: {who}, for {names}" if names else f"Nothing here needs a judge: {who}")
