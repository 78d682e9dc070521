"""TempCompass: four tasks on five temporal aspects of 410 clips, 7,540 questions.

Layout (huggingface.co/datasets/lmms-lab/TempCompass): a folder per task with
`test-*.parquet`: `video_id`, `question` (its options one a line), `answer`, `dim` (the aspect), and
for captioning `mc_question` and `mc_answer`. Clips: `videos/<video_id>.mp4`. A multi-choice answer
is a whole option ("B. …"), a yes/no answer a word, a caption-matching answer a whole line
("Caption A: …", "Sentence B: …" or "Option 1: …"). What a caption is worth only a judge model says,
by answering `mc_question` from it.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vtk.data.benchmarks.rows import (
    Questions,
    Row,
    choice_sample,
    find_clip,
    is_plain_name,
    read_rows,
    unique,
)
from vtk.data.problem import LETTERS, split_problem
from vtk.data.sample import Judging, Kind, VideoSample
from vtk.errors import DataError

TASKS = ("multi-choice", "yes_no", "caption_matching", "captioning")
ASPECTS = ("action", "direction", "speed", "order", "attribute_change")
CAPTIONING = "captioning: a judge model scores it"
_JUDGED = "captioning"

Parts = tuple[Kind, str, list[str], str]
"""Kind, question, options and the letter of the correct one."""


def convert(root: Path) -> Questions:
    """The questions of the tasks that the copy in `root` has; captioning is apart, for a judge.

    Raises:
        DataError: No task is there, or one is malformed.
    """
    samples: list[VideoSample] = []
    files = {task: sorted((root / task).glob("test-*.parquet")) for task in TASKS}
    if not any(files.values()):
        raise DataError(
            f"{root} holds no task of TempCompass", "Expected: <task>/test-*.parquet files."
        )
    for task, read in _READERS.items():
        rows = [row for path in files[task] for row in read_rows(path)]
        samples += [_sample(row, root, task, number, read) for number, row in enumerate(rows)]
    captions = [row for path in files[_JUDGED] for row in read_rows(path)]
    if not captions:
        return Questions(unique(samples, root))
    judged = [_judged_sample(row, root, number) for number, row in enumerate(captions)]
    return Questions(unique(samples, root), {CAPTIONING: len(judged)}, {CAPTIONING: judged})


def types_of(task: str, aspect: str) -> dict[str, str]:
    """A question's groups: its task, its aspect, and both together."""
    return {"task": task, "aspect": aspect, "task and aspect": f"{task}, {aspect}"}


def _sample(
    row: Row, root: Path, task: str, number: int, read: Callable[[Row], Parts]
) -> VideoSample:
    name, aspect = row.text("video_id"), row.text("dim")
    if not is_plain_name(name):
        raise row.malformed(f"'video_id' is no file name: {name!r}")
    if aspect not in ASPECTS:
        raise row.malformed(f"'dim' must be one of {', '.join(ASPECTS)}, found {aspect!r}")
    kind, question, options, correct = read(row)
    return choice_sample(
        row,
        f"{task}-{number:04d}",
        question,
        options,
        correct,
        find_clip(row, root, [f"videos/{name}.mp4"]),
        root,
        types=types_of(task, aspect),
        kind=kind,
    )


def _judged_sample(row: Row, root: Path, number: int) -> VideoSample:
    """A caption that is asked for without options, and the choice that a judge has to read in it.

    What checks the multiple-choice question is what reads one of the task multi-choice.
    """
    choice = _sample(row, root, _JUDGED, number, _judges_choice)
    question = row.text("question")
    assert choice.question is not None
    return replace(
        choice,
        problem=question,
        question=question,
        options=(),
        kind="captioning",
        judging=Judging(choice.question, choice.options, choice.solution),
    )


def _multi_choice(row: Row, question_key: str = "question", answer_key: str = "answer") -> Parts:
    question, options = split_problem(row.text(question_key))
    if not options:
        raise row.malformed(f"{question_key!r} has no lettered lines ('A. ...')")
    return "choice", question, list(options), row.text(answer_key)[0]


def _judges_choice(row: Row) -> Parts:
    return _multi_choice(row, "mc_question", "mc_answer")


def _yes_no(row: Row) -> Parts:
    answer = row.text("answer").lower()
    if answer not in ("yes", "no"):
        raise row.malformed(f"'answer' must be yes or no, found {answer!r}")
    return "yes_no", row.text("question"), ["yes", "no"], "A" if answer == "yes" else "B"


def _caption_matching(row: Row) -> Parts:
    question, *lines = row.text("question").split("\n")
    options = [line.strip() for line in lines if line.strip()]
    answer = row.text("answer")
    if answer not in options:
        raise row.malformed(f"the answer {answer!r} is none of the options")
    if not all(": " in option for option in options):
        raise row.malformed("an option has no name ('Caption A: ...')")
    return "caption_matching", question, options, LETTERS[options.index(answer)]


_READERS: dict[str, Callable[[Row], Parts]] = {
    "multi-choice": _multi_choice,
    "yes_no": _yes_no,
    "caption_matching": _caption_matching,
}
