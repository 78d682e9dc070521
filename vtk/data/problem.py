"""The published text form of a multiple-choice question and of its answer.

`problem` is the question followed by one lettered option per line; `solution` is the correct
letters joined by commas, in answer tags in published files.
Source: falonss703/VideoThinker:src/open_r1/grpo.py.
"""

import re
from collections.abc import Iterable, Sequence
from string import ascii_uppercase

LETTERS = ascii_uppercase
_OPTION = re.compile(r"^\s*([A-Z])\.\s*(.*)$")
_ANSWER = re.compile(r"^\s*<answer>(.*)</answer>\s*$", re.DOTALL | re.IGNORECASE)


def build_problem(question: str, options: Sequence[str]) -> str:
    """The question, then `A. first option` and so on, one a line."""
    if len(options) > len(LETTERS):
        raise ValueError(f"{len(options)} options, but only {len(LETTERS)} letters")
    lettered = (f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))
    return "\n".join([question, *lettered])


def split_problem(problem: str) -> tuple[str, tuple[str, ...]]:
    """The inverse of `build_problem`; the options are empty when no line starts with `A.`."""
    lines = problem.split("\n")
    starts = [i for i, line in enumerate(lines) if _is_option(line, "A")]
    if not starts:
        return problem, ()
    options: list[str] = []
    for line in lines[starts[-1] :]:
        match = _OPTION.match(line)
        if match and len(options) < len(LETTERS) and match[1] == LETTERS[len(options)]:
            options.append(match[2].strip())
        else:
            options[-1] = f"{options[-1]}\n{line}".strip()
    return "\n".join(lines[: starts[-1]]), tuple(options)


def _is_option(line: str, letter: str) -> bool:
    match = _OPTION.match(line)
    return match is not None and match[1] == letter


def build_solution(correct: Iterable[int]) -> str:
    """Letters of the correct options in order, joined by commas: options 0 and 1 are `A,B`."""
    return ",".join(LETTERS[index] for index in sorted(correct))


def parse_solution(solution: str, num_options: int) -> str:
    """The canonical solution (`A,B`) of a plain or tagged one.

    Raises:
        ValueError: It names no letter, the same letter twice, or one beyond the options.
    """
    match = _ANSWER.match(solution)
    letters = [part.strip() for part in (match[1] if match else solution).split(",")]
    valid = LETTERS[:num_options]
    for letter in letters:
        if len(letter) != 1 or letter not in valid:
            raise ValueError(f"{letter!r} is not one of the options {valid[:1]} to {valid[-1:]}")
    if len(set(letters)) != len(letters):
        raise ValueError(f"a letter is repeated in {solution!r}")
    return ",".join(sorted(letters))
