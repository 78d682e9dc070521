"""What the bias model itself answers to a step's questions, for people who compare.

Off unless `record.bias_answers` asks for it: it costs one more completion a question. Nothing that
is trained depends on it; the answer is the likeliest one, so no random number is drawn.
"""

from collections.abc import Callable
from typing import Any

from vtk.config.schema import VtkConfig
from vtk.rollout.generate import SamplingSettings
from vtk.scoring.answers import join_letters
from vtk.scoring.rewards import grade
from vtk.train.groups import Groups
from vtk.train.reference import Reference


def note_bias_answers(
    groups: Groups,
    reference: Reference,
    policy: Any,
    processor: Any,
    config: VtkConfig,
    should_stop: Callable[[], bool],
) -> None:
    """Write the reference's likeliest answer into the first row of each group.

    Args:
        groups: What was sampled from the policy; its rows are prompt-major.
        reference: The bias model.
        policy: The model that holds the adapters, where the reference is one.
        processor: The policy's own.
        config: The run's settings.
        should_stop: Asked after every token.

    Raises:
        Interrupted: A stop was asked for.
    """
    likeliest = SamplingSettings(config.rollout.max_completion_tokens, temperature=0.0)
    rollout = reference.answer(policy, processor, groups.batch.prompts, likeliest, should_stop)
    firsts = groups.rows[:: config.rollout.num_generations]
    for row, text in zip(firsts, rollout.texts, strict=True):
        graded = grade(text, row["solution"], row["num_options"])
        row["bias_completion"] = text
        row["bias_parsed"] = join_letters(graded.extraction.letters)
        row["bias_strict"] = graded.strict
