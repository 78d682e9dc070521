"""A sample as text, and the command that makes it again: what the clipboard is given."""

import shlex

from tui.samples.rows import Completion, Group
from tui.samples.text import completion_heading
from vtk.errors import DataError
from vtk.runs.files import read_json
from vtk.runs.store import RunPaths


def sample_text(group: Group, completion: Completion) -> str:
    """One sample as plain text, to be copied: every control character is a symbol."""
    return "\n".join(
        [
            f"step {group.step}, group {group.number}, completion {completion.generation}",
            f"question {group.sample_id} ({group.question_type}), clip {group.video}",
            "",
            group.problem,
            f"right: {group.solution}",
            "",
            completion_heading(completion, ascii_only=True).plain,
            "",
            completion.text,
        ]
    )


def reproduce_command(paths: RunPaths, group: Group) -> str:
    """The shell command that makes a run's samples again, with a comment that says which this is.

    Draws follow from the seed and the question's place, so the same settings give the same sample.
    """
    try:
        stage = read_json(paths.run_json).get("stage")
    except DataError:
        stage = None
    command = [
        "vtk",
        f"train-{stage if stage in ('bias', 'cdpo', 'grpo') else 'grpo'}",
        "--config",
        str(paths.config_json),
    ]
    return f"{shlex.join(command)}  # then step {group.step}, group {group.number}"
