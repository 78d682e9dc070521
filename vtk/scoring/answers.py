"""The answer in a completion: where it stands, which letters it names, and why there is none.

One reader serves rewards and evaluation. Two readings are kept apart:

* **strict** (what is rewarded and what headline numbers use): exactly one `<answer>…</answer>`
  outside the thought, lower-case tags, and inside it nothing but letters.
* **lenient** (reported beside it, never rewarded): what a patient reader would take to be meant.

What counts as the thought: everything between `<think>` and the first `</think>` after it;
everything after a `<think>` that is never closed; everything before a `</think>` that was never
opened (templates that write the opening tag themselves). Tags inside it are quotations. Statuses of
a reading:

| status | meaning |
| --- | --- |
| ok | letters were read |
| none | the answer says "none": a call that every option is out |
| missing | no answer tag outside the thought |
| inside_think | the only answer tags stand inside the thought |
| unclosed | `<answer>` without `</answer>` |
| malformed | `</answer>` without, or before, `<answer>` |
| several | more than one opening or closing tag (nested tags too): listing answers must not pay; |
| | or more than 256 think and answer tags in all |
| empty | nothing between the tags |
| unparsable | something else than letters between the tags ("A or B", "not A", "the cube") |
| not_offered | a letter beyond the options of the question |

Letters may be separated by commas, semicolons, "&", "+", "and", spaces or line ends, carry
brackets, quotes, full stops or asterisks, be lower case, full width, doubled, prefixed by "option"
or listed with bullets. All patterns are linear in the length of the completion.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

from vtk.errors import DataError

Mode = Literal["strict", "lenient"]
Status = Literal[
    "ok",
    "none",
    "missing",
    "inside_think",
    "unclosed",
    "malformed",
    "several",
    "empty",
    "unparsable",
    "not_offered",
]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_ANSWER_CHARS = 512
MAX_TAGS = 256
_LENIENT_TAIL_CHARS = 2000

_TAG = re.compile(r"<(/?)(think|answer)>")
_LOOSE_TAG = re.compile(r"<[ ]?(/?)[ ]?(think|answer)[ ]?>", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+")
_BULLET = re.compile(r"^[ \t]*[-•][ \t]+", re.MULTILINE)
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
_VISIBLE = re.compile(rf"[^\s{_ZERO_WIDTH}]")
_PUNCTUATION = str.maketrans("", "", f" \t\r\n,;&+.:()[]*_\"'`、{_ZERO_WIDTH}")
_JOINERS = frozenset({"and", "option", "options"})
_BOXED = re.compile(r"\\boxed\{([^{}]{0,200})\}")
_MARKER = re.compile(r"(?:^|[\n,;])[ \t]{0,8}\(?([A-Z])[.)](?=\s)")
_ANSWER_IS = re.compile(r"\banswers?(?: (?:is|are))?[:\s]{1,4}(?=([^\n<]{1,200}))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Extraction:
    """One reading of a completion.

    Args:
        letters: The options named; empty for an explicit "none"; None when no answer could be read.
        status: Why, see the table at the top of this module.
        text: What stood where the answer was found, stripped; None when there was no place.
    """

    letters: frozenset[str] | None
    status: Status
    text: str | None = None


class Tag(NamedTuple):
    """One think or answer tag: which, closing or not, and where it stands in the text."""

    name: str
    is_closing: bool
    start: int
    end: int


def find_tags(text: str, pattern: re.Pattern[str] = _TAG) -> list[Tag]:
    """The first think and answer tags of a text, in order; one more than `MAX_TAGS` at most."""
    matches = islice(pattern.finditer(text), MAX_TAGS + 1)
    return [Tag(m[2].lower(), bool(m[1]), m.start(), m.end()) for m in matches]


def extract_answer(
    completion: str, num_options: int = len(LETTERS), mode: Mode = "strict"
) -> Extraction:
    """The answer that a completion gives.

    Args:
        completion: What the model wrote, without special tokens.
        num_options: How many options the question offered; letters beyond them are no answer.
        mode: "strict" or "lenient", see the top of this module.

    Returns:
        Letters, status and the text they were read from.

    >>> sorted(extract_answer("<think>it stops</think><answer>a and C.</answer>").letters)
    ['A', 'C']
    """
    if mode == "lenient":
        return _extract_leniently(completion, num_options)
    status, text = _strict_text(completion)
    if text is None:
        return Extraction(None, status)
    letters, status = _read_letters(text, num_options)
    return Extraction(letters, status, text.strip())


def parse_letters(text: str, num_options: int = len(LETTERS)) -> frozenset[str] | None:
    """The letters that a text lists; None unless it lists at least one, nothing else, and only
    offered ones.

    >>> sorted(parse_letters("(A) (C)", num_options=4))
    ['A', 'C']
    """
    letters, status = _read_letters(text, num_options)
    return letters if status == "ok" else None


@lru_cache(maxsize=65536)
def parse_gold(solution: str, num_options: int = len(LETTERS)) -> frozenset[str]:
    """The correct letters of a question, from "A,B" or the published "<answer>A,B</answer>".

    Returns:
        The letters; empty for a question without a correct option, which no completion can score
        on.

    Raises:
        DataError: The solution is neither empty nor a list of offered letters.
    """
    text = _TAG.sub(" ", solution).strip()
    if not text:
        return frozenset()
    letters = parse_letters(text, num_options)
    if letters is None:
        raise DataError(
            f"solution {solution!r} does not name letters among the {num_options} options",
            hint='A solution is letters joined by ",", for example "A,C".',
        )
    return letters


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space and zero-width characters only."""
    return _VISIBLE.search(text) is None


def join_letters(letters: Iterable[str] | None) -> str | None:
    """Letters as the data files write them, "A,C"; None stays None."""
    return None if letters is None else ",".join(sorted(letters))


def _strict_text(completion: str) -> tuple[Status, str | None]:
    """Status and text of the one answer block outside the thought."""
    tags = find_tags(completion)
    if len(tags) > MAX_TAGS:
        return "several", None
    answers = [tag for tag in _outside_thought(tags) if tag.name == "answer"]
    if not answers:
        is_quoted = any(tag.name == "answer" for tag in tags)
        return ("inside_think" if is_quoted else "missing"), None
    num_closing = sum(tag.is_closing for tag in answers)
    if num_closing > 1 or len(answers) - num_closing > 1:
        return "several", None
    if answers[0].is_closing:
        return "malformed", None
    if len(answers) == 1:
        return "unclosed", None
    return "ok", completion[answers[0].end : answers[1].start]


def _outside_thought(tags: list[Tag]) -> list[Tag]:
    """The tags that do not stand in the thought; the think tags themselves are left out."""
    outside: list[Tag] = []
    is_thinking = False
    num_thoughts = 0
    for tag in tags:
        if tag.name == "answer":
            if not is_thinking:
                outside.append(tag)
        elif not tag.is_closing:
            num_thoughts += not is_thinking
            is_thinking = True
        elif is_thinking:
            is_thinking = False
        elif num_thoughts == 0:
            outside.clear()
            num_thoughts = 1
    return outside


def _read_letters(text: str, num_options: int) -> tuple[frozenset[str] | None, Status]:
    """Letters and status of a text that should hold letters and nothing else."""
    if is_blank(text):
        return None, "empty"
    if len(text) > MAX_ANSWER_CHARS:
        return None, "unparsable"
    text = _BULLET.sub(" ", unicodedata.normalize("NFKC", text))
    words = _WORD.findall(text)
    if _WORD.sub("", text).translate(_PUNCTUATION):
        return None, "unparsable"
    if [word.lower() for word in words] == ["none"]:
        return frozenset(), "none"
    letters = [word.upper() for word in words if word.lower() not in _JOINERS]
    if not letters or any(len(letter) > 1 for letter in letters):
        return None, "unparsable"
    if not set(letters) <= set(LETTERS[:num_options]):
        return None, "not_offered"
    return frozenset(letters), "ok"


def _extract_leniently(completion: str, num_options: int) -> Extraction:
    """The first place, from likely to unlikely, where a patient reader finds letters."""
    for text in _lenient_places(completion):
        letters, status = _read_loosely(text, num_options)
        if letters is not None:
            return Extraction(letters, status, text.strip())
    strict = extract_answer(completion, num_options)
    return Extraction(None, strict.status, strict.text)


def _lenient_places(completion: str) -> list[str]:
    """Texts that may hold the answer: the last block, best outside the thought; or free text."""
    tags = find_tags(completion, _LOOSE_TAG)
    if len(tags) > MAX_TAGS:
        return []
    outside = _blocks(completion, [tag for tag in _outside_thought(tags) if tag.name == "answer"])
    anywhere = _blocks(completion, [tag for tag in tags if tag.name == "answer"])
    if outside or anywhere:
        return (outside or anywhere)[-1:]
    thoughts_end = max((tag.end for tag in tags if tag.name == "think"), default=0)
    tail = completion[thoughts_end:][-_LENIENT_TAIL_CHARS:]
    phrases = [match[1] for match in _ANSWER_IS.finditer(tail)]
    return [tail, *phrases[:-2:-1]]


def _blocks(completion: str, answers: list[Tag]) -> list[str]:
    """The text after each opening tag up to the next answer tag, or to the end."""
    ends = [*(tag.start for tag in answers[1:]), len(completion)][: len(answers)]
    blocks = [
        completion[tag.end : end]
        for tag, end in zip(answers, ends, strict=True)
        if not tag.is_closing
    ]
    return [block for block in blocks if not is_blank(block)]


def _read_loosely(text: str, num_options: int) -> tuple[frozenset[str] | None, Status]:
    """Letters of a text: plain, boxed, run together, heading option texts, or a first sentence."""
    text = text[-_LENIENT_TAIL_CHARS:].strip()
    boxed = _BOXED.search(text)
    markers = [match[1] for match in _MARKER.finditer(text)]
    headings = ",".join(markers) if _MARKER.match(text) else ""
    for candidate in (
        text,
        boxed[1] if boxed else "",
        _spread(text),
        headings,
        text.split(". ", 1)[0],
    ):
        letters, status = _read_letters(candidate, num_options)
        if letters is not None:
            return letters, status
    return None, "unparsable"


def _spread(text: str) -> str:
    """ "ACD" as "A C D" when it is a run of distinct capitals in ascending order, else the text."""
    is_run = (
        text.isascii() and text.isalpha() and text.isupper() and list(text) == sorted(set(text))
    )
    return " ".join(text) if is_run else text
