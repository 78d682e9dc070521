# ruff: noqa: E501 - one row a line
"""Adversarial completions: what each must score, beside what the published rules made of it.

The two published rules are restated here in our own words from
longmalongma/TW-GRPO:src/open_r1/grpo.py (reward) and the evaluation that CDPO's authors published:
they are the baseline whose failures the rows name, not code that vtk uses.
"""

import re
import time
from dataclasses import dataclass
from fractions import Fraction

import pytest

from vtk.scoring.answers import Mode, extract_answer
from vtk.scoring.rewards import format_reward, grade

SCORES = ("strict", "partial", "per_option", "format", "lenient")


@dataclass(frozen=True)
class Row:
    """A completion to a question of `num_options` options, and what it must score."""

    name: str
    completion: str
    gold: str
    status: str
    scores: str
    num_options: int = 4

    def score(self, name: str) -> float:
        """The expected score of that name; `scores` holds them in the order of `SCORES`."""
        return float(Fraction(self.scores.split()[SCORES.index(name)]))


def published_reward(completion: str, gold: str) -> float:
    """The published soft accuracy: first tag or the whole text, split on commas, subset credit."""
    match = re.search(r"<answer>(.*?)</answer>", completion, re.DOTALL)
    said = set((match[1] if match else completion).strip().replace(" ", "").split(","))
    right = set(gold.replace(" ", "").split(","))
    return len(said) / len(right) if said <= right else 0.0


def published_eval(completion: str, gold: str) -> float:
    """The published evaluation: exact equality of the stripped strings."""
    match = re.search(r"<answer>\s*(.*?)\s*</answer>", completion, re.DOTALL)
    return float((match[1].strip() if match else completion.strip()) == gold.strip())


def published_format(completion: str) -> float:
    """The published format reward: no anchor at the start, anything may be empty."""
    if completion.count("<think>") > 1 or completion.count("<answer>") > 1:
        return 0.0
    pattern = r"<think>.*?</think>\s*<answer>.*?</answer>[\s!]*$"
    return float(bool(re.search(pattern, completion.strip(), re.DOTALL)))


def wrap(answer: str) -> str:
    return f"<think>red hits blue</think><answer>{answer}</answer>"


def right(name: str, answer: str, gold: str = "A,C") -> Row:
    """A notation of the whole gold set inside a proper layout."""
    return Row(name, wrap(answer), gold, "ok", "1 1 1 1 1")


# fmt: off
ROWS = [
    # Notation: the same answer written in other ways.
    right("letters joined by a comma", "A,C"),
    right("a space after the comma", "A, C"),
    right("other order", "C,A"),
    right("lower case and a word between", "c and a"),
    right("brackets around each letter", "(A) (C)"),
    right("square brackets around the list", "[A, C]"),
    right("one letter a line", "A\nC"),
    right("windows line ends", "A\r\nC\r\n"),
    right("full stop", "A.", "A"),
    right("bracketed single letter", "(A)", "A"),
    right("lower case single letter", "a", "A"),
    right("trailing comma", "A, C,"),
    right("semicolon", "A; C"),
    right("ampersand", "A & C"),
    right("bold", "**A**, **C**"),
    right("quotes", "\"A\", 'C'"),
    right("bullets", "- A\n- C"),
    right("the word option", "Option A and option C"),
    right("said twice", "A, C, A"),
    right("surrounded by white space", "  \n A,C \t"),
    right("full width letters and comma", "Ａ，Ｃ"),
    right("zero-width space", "A\u200b,\u200bC"),
    right("no-break space", "A,\u00a0C"),
    right("spaces only", "A C"),
    right("Oxford comma", "A, and C"),
    # Subset credit and its limits.
    Row("proper subset", wrap("A"), "A,C", "ok", "0 0.5 0.75 1 0"),
    Row("one letter of three", wrap("B"), "A,B,D", "ok", "0 1/3 0.5 1 0"),
    Row("two letters of three", wrap("B, D"), "A,B,D", "ok", "0 2/3 0.75 1 0"),
    Row("one right and one wrong letter", wrap("A,B"), "A,C", "ok", "0 0 0.5 1 0"),
    Row("every option", wrap("A,B,C,D"), "A,C", "ok", "0 0 0.5 1 0"),
    Row("all wrong", wrap("B,D"), "A,C", "ok", "0 0 0 1 0"),
    Row("wrong single letter", wrap("B"), "A", "ok", "0 0 0.5 1 0"),
    Row("superset of a single letter", wrap("A,B"), "A", "ok", "0 0 0.75 1 0"),
    # No answer at all, and questions without a gold letter.
    Row("empty text", "", "A", "missing", "0 0 0 0 0"),
    Row("white space only", " \n\t ", "A", "missing", "0 0 0 0 0"),
    Row("empty gold, empty answer", "<answer></answer>", "", "empty", "0 0 0 0 0"),
    Row("empty gold, empty text", "", "", "missing", "0 0 0 0 0"),
    Row("empty gold, none", wrap("none"), "", "none", "0 0 0 1 0"),
    Row("empty answer", wrap(""), "A", "empty", "0 0 0 0 0"),
    Row("blank answer", wrap(" \n "), "A", "empty", "0 0 0 0 0"),
    Row("invisible answer", wrap("\u200b"), "A", "empty", "0 0 0 0 0"),
    Row("commas only", wrap(",,"), "A", "unparsable", "0 0 0 1 0"),
    Row("none is a call that every option is out", wrap("none"), "A", "none", "0 0 0.75 1 0"),
    # Missing tags: strict refuses, lenient reads.
    Row("bare letter", "A", "A", "missing", "0 0 0 0 1"),
    Row("bare list", "A, C", "A,C", "missing", "0 0 0 0 1"),
    Row("letter after the thought", "<think>red</think> A", "A", "missing", "0 0 0 0 1"),
    Row("a sentence", "The answer is A and C.", "A,C", "missing", "0 0 0 0 1"),
    Row("last of two sentences", "The answer is B? No. Final answer: A", "A", "missing", "0 0 0 0 1"),
    Row("letter in prose is no answer", "I see A hit B.", "A", "missing", "0 0 0 0 0"),
    Row("thought only", "<think>A</think>", "A", "missing", "0 0 0 0 0"),
    Row("cut off in the thought", "<think>red hits blue and then the", "A", "missing", "0 0 0 0 0"),
    # Broken, repeated and nested tags.
    Row("unclosed answer", "<think>x</think><answer>A", "A", "unclosed", "0 0 0 0 1"),
    Row("closing tag only", "<think>x</think>A</answer>", "A", "malformed", "0 0 0 0 0"),
    Row("tags in the wrong order", "<think>x</think></answer>A<answer>", "A", "malformed", "0 0 0 0 0"),
    Row("two answers, first right", wrap("A") + "<answer>B</answer>", "A", "several", "0 0 0 0 0"),
    Row("two answers, last right", wrap("B") + "<answer>A</answer>", "A", "several", "0 0 0 0 1"),
    Row("the same answer twice", wrap("A") + "<answer>A</answer>", "A", "several", "0 0 0 0 1"),
    Row("an answer for each option", "".join(f"<answer>{x}</answer>" for x in "ABCD"), "A", "several", "0 0 0 0 0"),
    Row("nested answers", "<answer><answer>A</answer></answer>", "A", "several", "0 0 0 0 1"),
    Row("nested with two letters", "<answer>A<answer>B</answer></answer>", "A", "several", "0 0 0 0 0"),
    Row("opened twice, closed once", "<answer>B<answer>A</answer>", "A", "several", "0 0 0 0 1"),
    Row("duplicate closing answer", wrap("A") + "</answer>", "A", "several", "0 0 0 0 1"),
    Row("capital tags", "<think>x</think><Answer>A</Answer>", "A", "missing", "0 0 0 0 1"),
    Row("spaces in the tags", "<think>x</think>< answer >A</ answer >", "A", "missing", "0 0 0 0 1"),
    Row("escaped tags", "&lt;answer&gt;A&lt;/answer&gt;", "A", "missing", "0 0 0 0 0"),
    # Tags inside the thought.
    Row("answer quoted in the thought", "<think><answer>B</answer></think><answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    Row("answer only in the thought", "<think><answer>A</answer></think>", "A", "inside_think", "0 0 0 0 1"),
    Row("thought never closed", "<think>red <answer>A</answer>", "A", "inside_think", "0 0 0 0 1"),
    Row("thought never opened", "<answer>B</answer> no</think><answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    Row("thought after the answer", "<answer>A</answer><think>x</think>", "A", "ok", "1 1 1 0 1"),
    Row("thought opened twice", "<think><think>x</think><answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    # Content that is no list of letters.
    Row("hedge", wrap("A or B"), "A", "unparsable", "0 0 0 1 0"),
    Row("negation", wrap("not A"), "A", "unparsable", "0 0 0 1 0"),
    Row("letter and a negated one", wrap("A, not B"), "A", "unparsable", "0 0 0 1 0"),
    Row("none of the above", wrap("none of the above"), "A", "unparsable", "0 0 0 1 0"),
    Row("all of the above", wrap("all of the above"), "A,B,C,D", "unparsable", "0 0 0 1 0"),
    Row("option text", wrap("A. The cube hits the sphere"), "A", "unparsable", "0 0 0 1 1"),
    Row("option texts", wrap("A. The cube stops\nC. The disc turns"), "A,C", "unparsable", "0 0 0 1 1"),
    Row("option texts in a line", wrap("A) cube, C) disc"), "A,C", "unparsable", "0 0 0 1 1"),
    Row("letters, then the reason", wrap("A, C. Because B is far away."), "A,C", "unparsable", "0 0 0 1 1"),
    Row("option text without letter", wrap("the cube hits the sphere"), "A", "unparsable", "0 0 0 1 0"),
    Row("run together", wrap("AC"), "A,C", "unparsable", "0 0 0 1 1"),
    Row("a word made of letters", wrap("CAB"), "A,B,C", "unparsable", "0 0 0 1 0"),
    Row("boxed", wrap("\\boxed{A, C}"), "A,C", "unparsable", "0 0 0 1 1"),
    Row("slash may mean or", wrap("A/C"), "A,C", "unparsable", "0 0 0 1 0"),
    Row("range", wrap("A-C"), "A,B,C", "unparsable", "0 0 0 1 0"),
    Row("numbers for letters", wrap("1, 3"), "A,C", "unparsable", "0 0 0 1 0"),
    Row("Cyrillic look-alike", wrap("А"), "A", "unparsable", "0 0 0 1 0"),
    Row("markup in the answer", wrap("<b>A</b>"), "A", "unparsable", "0 0 0 1 0"),
    Row("placeholder echoed", wrap("your answer"), "A", "unparsable", "0 0 0 1 0"),
    Row("injected order to the grader", wrap("A</answ> score 1.0"), "A", "unparsable", "0 0 0 1 0"),
    # Letters beyond the options.
    Row("letter not offered", wrap("E"), "A", "not_offered", "0 0 0 1 0"),
    Row("right letter and one not offered", wrap("A, E"), "A", "not_offered", "0 0 0 1 0"),
    Row("third letter of two options", wrap("A, C"), "A", "not_offered", "0 0 0 1 0", num_options=2),
    Row("whole alphabet", wrap(", ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ")), "A", "not_offered", "0 0 0 1 0"),
    # Layout: anchored at both ends, nothing empty.
    Row("junk before the thought", "well, " + wrap("A"), "A", "ok", "1 1 1 0 1"),
    Row("trailing exclamation mark", wrap("A") + "!", "A", "ok", "1 1 1 0 1"),
    Row("trailing prose", wrap("A") + " I am sure.", "A", "ok", "1 1 1 0 1"),
    Row("text between thought and answer", "<think>x</think>so<answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    Row("empty thought", "<think></think><answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    Row("blank thought", "<think> \n</think><answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    Row("everything empty", "<think></think><answer></answer>", "A", "empty", "0 0 0 0 0"),
    Row("duplicate closing thought", "<think>x</think></think><answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    Row("no thought", "<answer>A</answer>", "A", "ok", "1 1 1 0 1"),
    Row("white space around", "\n" + "<think>x</think>\n\n<answer>A</answer>" + "\n", "A", "ok", "1 1 1 1 1"),
]
# fmt: on


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len(ROWS) >= 100
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_completion(row: Row) -> None:
    graded = grade(row.completion, row.gold, row.num_options)
    assert graded.extraction.status == row.status
    for name in SCORES:
        assert getattr(graded, name) == pytest.approx(row.score(name)), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_format_reward_is_the_grade(row: Row) -> None:
    assert format_reward([row.completion]) == [row.score("format")]


# What the published rules get wrong: a row of the table, what they give, what is right.
PUBLISHED_REWARD_SAYS = {
    "without tags the whole text is the answer": ("bare letter", 1.0, 0.0),
    "full stop": ("full stop", 0.0, 1.0),
    "brackets": ("bracketed single letter", 0.0, 1.0),
    "lower case": ("lower case single letter", 0.0, 1.0),
    "the word and": ("lower case and a word between", 0.0, 1.0),
    "line ends": ("one letter a line", 0.0, 1.0),
    "trailing comma": ("trailing comma", 0.0, 1.0),
    "first of several answers wins": ("two answers, first right", 1.0, 0.0),
    "empty gold and empty answer": ("empty gold, empty answer", 1.0, 0.0),
    "answer quoted in the thought wins": ("answer quoted in the thought", 0.0, 1.0),
}
PUBLISHED_EVAL_SAYS = {
    "a space after the comma": ("a space after the comma", 0.0, 1.0),
    "full stop": ("full stop", 0.0, 1.0),
    "brackets": ("bracketed single letter", 0.0, 1.0),
    "lower case": ("lower case single letter", 0.0, 1.0),
    "other order": ("other order", 0.0, 1.0),
    "no partial credit": ("proper subset", 0.0, 0.5),
    "without tags the whole text is compared": ("bare letter", 1.0, 0.0),
}
PUBLISHED_FORMAT_SAYS = {
    "junk before the thought": ("junk before the thought", 1.0, 0.0),
    "everything empty": ("everything empty", 1.0, 0.0),
    "trailing exclamation mark": ("trailing exclamation mark", 1.0, 0.0),
    "duplicate closing thought": ("duplicate closing thought", 1.0, 0.0),
    "duplicate closing answer": ("duplicate closing answer", 1.0, 0.0),
}
BY_NAME = {row.name: row for row in ROWS}


@pytest.mark.parametrize("defect", PUBLISHED_REWARD_SAYS)
def test_published_reward_fails_where_ours_does_not(defect: str) -> None:
    name, published, ours = PUBLISHED_REWARD_SAYS[defect]
    row = BY_NAME[name]
    assert published_reward(row.completion, row.gold) == published
    assert grade(row.completion, row.gold, row.num_options).partial == ours


@pytest.mark.parametrize("defect", PUBLISHED_EVAL_SAYS)
def test_published_evaluation_fails_where_ours_does_not(defect: str) -> None:
    name, published, ours = PUBLISHED_EVAL_SAYS[defect]
    row = BY_NAME[name]
    assert published_eval(row.completion, row.gold) == published
    assert grade(row.completion, row.gold, row.num_options).partial == ours


@pytest.mark.parametrize("defect", PUBLISHED_FORMAT_SAYS)
def test_published_format_passes_what_ours_refuses(defect: str) -> None:
    name, published, ours = PUBLISHED_FORMAT_SAYS[defect]
    row = BY_NAME[name]
    assert published_format(row.completion) == published
    assert format_reward([row.completion]) == [ours]


def test_published_subset_credit_is_kept() -> None:
    kept = ("proper subset", "one letter of three", "two letters of three")
    for name in (*kept, "one right and one wrong letter"):
        row = BY_NAME[name]
        assert published_reward(row.completion, row.gold) == pytest.approx(row.score("partial"))


def test_solution_in_answer_tags_is_the_same_gold() -> None:
    """letters in tags on both sides, where the symbolic branch of the published rule always failed."""
    assert grade(wrap("A,C"), "<answer>A,C</answer>", 4).strict == 1.0


BOMBS = {
    "open tags": "<answer>" * 12_500,
    "close tags": "</answer>" * 11_000,
    "alternating": "<think><answer>" * 6_600,
    "spaces in a tag": "<" + " " * 100_000 + "answer>",
    "angle brackets": "<" * 100_000,
    "letters": wrap("A," * 50_000),
    "spaces": wrap(" " * 100_000 + "A"),
    "bullets": wrap("- " * 50_000),
    "answer is": "answer is " * 10_000,
    "answer and colons": "answer" + ":" * 100_000,
    "boxed": "\\boxed{" * 14_000,
    "markers": "A. " * 33_000,
    "full width": wrap("Ａ" * 100_000),
    "prose": "red hits blue and then " * 4_400,
}


@pytest.mark.parametrize("mode", ["strict", "lenient"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_hundred_kilobytes_take_milliseconds(bomb: str, mode: Mode) -> None:
    text = BOMBS[bomb]
    assert len(text) >= 90_000
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        extract_answer(text, 4, mode)
        format_reward([text])
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.05
