"""Held-out accuracy during training, by question type, by the one evaluation of `vtk eval`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from accelerate.utils import gather_object

from vtk.config.schema import VtkConfig
from vtk.data.sample import VideoSample
from vtk.evals.backends import TransformersBackend
from vtk.evals.results import event_per_type, summarise, summarise_strategies
from vtk.evals.runner import iter_rows
from vtk.evals.suites import SUITES, Suite, draw_subset
from vtk.evals.target import evaluation_settings
from vtk.train.groups import GroupCollector
from vtk.train.reporting import Reporter
from vtk.train.sharding import gathered

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor


class HeldOutEvaluation:
    """Evaluates one policy now and then; the same questions every time, by one process or several.

    Whole batches are shared out, because padding depends on a batch: the answers are those of one
    process.

    Args:
        policy: The policy, on its device.
        processor: The policy's own.
        config: The run's settings.
        samples: All held-out questions.
        suite: What results are called.
        collector: Lends its decoded clips.
        reporter: Takes the result.
        should_stop: Asked often; a yes raises Interrupted.
        rank: This process.
        num_processes: All processes.
    """

    def __init__(
        self,
        policy: Any,
        processor: "Qwen2_5_VLProcessor",
        config: VtkConfig,
        samples: Sequence[VideoSample],
        suite: str,
        *,
        collector: GroupCollector,
        reporter: Reporter,
        should_stop: Callable[[], bool],
        rank: int,
        num_processes: int,
    ) -> None:
        self.policy, self.processor, self.suite = policy, processor, suite
        self.settings = evaluation_settings(config, suite_named(suite))
        self.samples = draw_subset(samples, config.eval.num_samples)
        self.share = (rank, num_processes)
        self.collector, self.reporter, self.should_stop = collector, reporter, should_stop

    def __call__(self, step: int) -> None:
        """Evaluate and write an `eval_result`.

        Args:
            step: Optimizer steps done.
        """
        with self.reporter.phase("eval"), gathered(self.policy):
            rows = gather_object(
                list(
                    iter_rows(
                        TransformersBackend(self.policy, self.processor),
                        self.samples,
                        self.settings,
                        should_stop=self.should_stop,
                        clips=self.collector.clips,
                        share=self.share,
                    )
                )
            )
        protocols = summarise(rows)
        self.reporter.emit(
            "eval_result",
            step=step,
            suite=self.suite,
            per_type=event_per_type(protocols),
            protocols={name: event_per_type(protocols, name) for name in protocols},
            strategies=summarise_strategies(rows),
            num_errors=sum(row.error is not None for row in rows),
        )


def suite_named(name: str) -> Suite:
    """The suite of that name; for questions from a file, one that asks as in training."""
    return SUITES.get(name) or Suite(name=name, dataset="", title="Held-out questions of a file.")
