"""Graded questions as lines of eval/<suite>/samples.jsonl.

The file is append-only, one `EvalRow` a line; the last line of a question and draw counts.
"""

import errno
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from vtk.errors import DataError
from vtk.evals.sole_writer import SoleWriter
from vtk.runs.events import decode_line, encode_line
from vtk.runs.files import storage_error

SAMPLES_FILE: Final = "samples.jsonl"
PARTS_DIR: Final = "parts"
_SYNC_INTERVAL_S: Final = 1.0

JUDGED_KINDS: Final = ("captioning", "open_ended")
"""Kinds of question (`vtk.data.sample.Kind`) that a judge model scores."""

RowKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class EvalRow:
    """One completion of one question, graded; or what went wrong instead.

    Attributes:
        sample_id: The question's id.
        draw: Which of the question's completions, from 0.
        clip_id: The clip; intervals are clustered by it.
        label: observational, inferential or None.
        polarity: will, will_not or None.
        num_correct: How many options are correct.
        num_options: How many options there are.
        problem: The question with its lettered options.
        solution: The correct letters, "A,C".
        completion: What the model wrote; None after an error.
        num_tokens: Its length in tokens, end token included.
        is_truncated: Whether it was cut at the length bound.
        parsed: The letters read strictly, "A,C"; "" for "none"; None if none could be read.
        status: Status of the strict reading (`vtk.scoring.answers`), or "error".
        lenient_parsed: The letters read leniently.
        strict: 1 if the set of letters is right, else 0.
        partial: Subset credit.
        per_option: Share of options called rightly.
        lenient: As strict, of the lenient reading.
        format: 1 if the layout is right.
        strategy: describe, reason or None (clevrer-mini only).
        video_sha256: Digest of the clip's file; None if it could not be read.
        decoder: The library that decoded it.
        timestamps_s: Time of each frame shown to the model, in seconds.
        error: kind (decode, timeout, prompt, generate, memory), type and message; None if all
            went well.
        kind: How the question is to be answered (`vtk.data.sample.VideoSample`).
        types: Grouping -> group, for accuracy per type; empty where `label` says it.
        score: The score by the protocol's rule; None where the suite has no protocol.
        said: The answer that the protocol's rule read; None if it read none.
        num_video_tokens: Visual tokens of the prompt.
        judgement: What a judge said: its `reply`, its `model` and its `prompt_sha256`; None where
            no judge has scored the row.
    """

    sample_id: str
    draw: int
    clip_id: str
    label: str | None
    polarity: str | None
    num_correct: int
    num_options: int
    problem: str
    solution: str
    completion: str | None
    num_tokens: int | None
    is_truncated: bool
    parsed: str | None
    status: str
    lenient_parsed: str | None
    strict: float
    partial: float
    per_option: float
    lenient: float
    format: float
    strategy: str | None
    video_sha256: str | None
    decoder: str | None
    timestamps_s: list[float] | None
    error: dict[str, str] | None
    kind: str = "choice"
    types: dict[str, str] = field(default_factory=dict)
    score: float | None = None
    said: str | None = None
    num_video_tokens: int | None = None
    judgement: dict[str, str] | None = None

    @property
    def key(self) -> RowKey:
        """What tells this row from every other row that counts."""
        return self.sample_id, self.draw

    @property
    def awaits_judge(self) -> bool:
        """Whether only a judge can score it, and none has: it is neither right nor wrong."""
        return self.kind in JUDGED_KINDS and self.score is None


_FIELDS: Final = {found.name for found in fields(EvalRow)}
_LATER_FIELDS: Final = {
    found.name
    for found in fields(EvalRow)
    if found.default is not MISSING or found.default_factory is not MISSING
}


def row_from_json(value: Mapping[str, Any]) -> EvalRow:
    """The row of one line of samples.jsonl.

    Raises:
        ValueError: A field is missing or unknown; those that came later may be missing.
    """
    odd = sorted((set(value) | _LATER_FIELDS) ^ _FIELDS)
    if odd:
        raise ValueError(f"not a graded question of this version: {', '.join(odd[:5])}")
    return EvalRow(**value)


@dataclass(frozen=True, slots=True)
class ReadRows:
    """The rows of a samples.jsonl.

    Attributes:
        rows: The last row of each question and draw, in order of first appearance.
        num_unreadable: Complete lines that are no rows. A last line without its end is not one: it
            is being written, or was cut short by a crash.
    """

    rows: dict[RowKey, EvalRow]
    num_unreadable: int


def read_rows(path: Path) -> ReadRows:
    """Read graded questions; a missing file holds none.

    Raises:
        DataError: The file is there but cannot be read.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    rows: dict[RowKey, EvalRow] = {}
    num_unreadable = 0
    for line in content.split(b"\n")[:-1]:
        if not line.strip():
            continue
        try:
            row = row_from_json(decode_line(line))
        except ValueError:
            num_unreadable += 1
        else:
            rows[row.key] = row
    return ReadRows(rows, num_unreadable)


class SampleLog:
    """Appends graded questions to samples.jsonl; a context manager, one process at a time.

    Each row is one write, so a crash costs at most the row being written; the torn tail that it
    leaves is cut off before the next row.

    The right to write is a claim in the folder: `samples.jsonl.owner` (`vtk.evals.sole_writer`).

    Args:
        folder: eval/<suite> of a run; made if missing.
        name: The file in it.

    Raises:
        ConfigError: Another process is writing there.
        VtkError: The file cannot be written.
    """

    def __init__(self, folder: Path, name: str = SAMPLES_FILE) -> None:
        self.path = folder / name
        self._writer = SoleWriter(self.path, folder / f"{name.replace('/', '.')}.owner")
        self._descriptor = -1
        self._synced_at = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self.path, error) from error
        with ExitStack() as held:
            held.enter_context(self._writer)
            self._open()
            held.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as left:
            left.push(self._writer)
            left.callback(os.close, self._descriptor)
            os.fsync(self._descriptor)

    def append(self, row: EvalRow) -> None:
        """Write one row.

        Raises:
            ConfigError: Another process has taken over.
            VtkError: The disk is full or failing.
        """
        line = encode_line(asdict(row))
        self._writer.require_held()
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self._synced_at > _SYNC_INTERVAL_S:
                os.fsync(self._descriptor)
                self._synced_at = time.monotonic()
        except OSError as error:
            raise storage_error(self.path, error) from error

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        try:
            self._descriptor = os.open(self.path, flags, 0o666)
            os.ftruncate(self._descriptor, self.path.read_bytes().rfind(b"\n") + 1)
        except OSError as error:
            raise storage_error(self.path, error) from error
