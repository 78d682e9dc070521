"""The words of clevrer-mini: attributes, question and option forms, and the two kinds of trace.

Question and option forms follow CLEVRER's (http://clevrer.csail.mit.edu, CC0): "Without X, what
will happen?", "Which event will happen if X is removed?", "A collides with B", "A and B collide".
The traces are ours: the shipped tiny model is pretrained on both, and which one it chooses is what
training moves. `q red-blue` reads "at moment q of the clip red and blue collide", `blue>cyan`
"blue and cyan would collide".

* describe: what the clip shows decides.
  `<think>I see q red-blue. A red-blue yes, B blue-cyan no.</think><answer>A</answer>`
* reason: what would be seen without the object decides.
  `<think>Without red blue>cyan. A red-blue no, B blue-cyan yes.</think><answer>B</answer>`
"""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

COLORS = ("gray", "red", "blue", "green", "brown", "cyan", "purple", "yellow")
MATERIALS = ("rubber", "metal")
SHAPES = ("sphere", "cube", "cylinder")
LETTERS = "ABCDEFGH"
MOMENTS = "pqrstuvw"  # eighths of a clip, one for each pair of the sixteen frames that a model sees
COLLIDE, WOULD_COLLIDE = "-", ">"

Strategy = Literal["describe", "reason"]
Polarity = Literal["will", "will_not"]
STRATEGIES: tuple[Strategy, Strategy] = ("describe", "reason")

QUESTION_FORMS: dict[Polarity, tuple[str, ...]] = {
    "will": (
        "Without {x}, what will happen?",
        "Without {x}, which event will happen?",
        "What will happen without {x}?",
        "Which event will happen if {x} is removed?",
        "If {x} is removed, which of the following will happen?",
    ),
    "will_not": (
        "Without {x}, what will not happen?",
        "Without {x}, which event will not happen?",
        "What will not happen without {x}?",
        "Which event will not happen if {x} is removed?",
        "If {x} is removed, which of the following will not happen?",
    ),
}
OPTION_FORMS = ("{a} collides with {b}", "{a} and {b} collide")

_DESCRIBE_OPENING = "I see"
_REASON_OPENING = "Without"
_TAG = re.compile(r"</?(think|answer)>")
_OPENING = re.compile(r"^\s*<think>\s*(I see|Without)\b")


def render_problem(question: str, options: Sequence[str]) -> str:
    """A question and its lettered options, one line each: the published training files' layout."""
    lines = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options)]
    return "\n".join([question, *lines])


def render_trace(
    strategy: Strategy,
    removed: str,
    events: Sequence[tuple[tuple[str, str], int]],
    options: Sequence[tuple[str, str]],
    polarity: Polarity,
) -> str:
    """The completion that a strategy writes.

    Args:
        strategy: "describe" lists the clip's collisions in order of time, "reason" those of the
            world without the object in order of their names.
        removed: Colour of the removed object.
        events: Collisions in order of time, each a pair of colours and one of the `MOMENTS`.
        options: For each option the pair of colours whose collision it names.
        polarity: "will" answers with the options among `events`, "will_not" with the others.

    Returns:
        Think and answer tags; the answer is a list of letters joined by ",", or "none".
    """
    happened = [in_order(pair) for pair, _ in events]
    if strategy == "describe":
        opening = _DESCRIBE_OPENING
        told = [
            f"{MOMENTS[moment]} {COLLIDE.join(pair)}"
            for pair, (_, moment) in zip(happened, events, strict=True)
        ]
    else:
        opening = f"{_REASON_OPENING} {removed}"
        by_name = sorted(happened, key=lambda pair: [COLORS.index(color) for color in pair])
        told = [WOULD_COLLIDE.join(pair) for pair in by_name]
    asked = [in_order(pair) for pair in options]
    calls = ", ".join(
        f"{LETTERS[i]} {COLLIDE.join(pair)} {'yes' if pair in happened else 'no'}"
        for i, pair in enumerate(asked)
    )
    answer = option_letters([(pair in happened) == (polarity == "will") for pair in asked])
    return (
        f"<think>{opening} {', '.join(told) or 'nothing'}. {calls}.</think>"
        f"<answer>{answer or 'none'}</answer>"
    )


def in_order(pair: tuple[str, str]) -> tuple[str, str]:
    """One order of a pair's colours, so that there is one right wording."""
    a, b = sorted(pair, key=COLORS.index)
    return a, b


def option_letters(flags: Sequence[bool]) -> str:
    """Letters of the options whose flag is set, joined by ","."""
    return ",".join(LETTERS[i] for i, flag in enumerate(flags) if flag)


def classify_strategy(completion: str) -> Strategy | None:
    """Which of the two traces a completion opens with; None if neither.

    >>> classify_strategy("<think>I see q red-blue. A yes.</think><answer>A</answer>")
    'describe'
    """
    match = _OPENING.match(completion)
    if match is None:
        return None
    return "describe" if match.group(1) == _DESCRIBE_OPENING else "reason"


def tokenizer_corpus() -> list[str]:
    """Every word and punctuation pattern of clevrer-mini, for the tiny model's tokenizer."""
    things = [f"the {c} {m} {s}" for c in COLORS for m in MATERIALS for s in (*SHAPES, "object")]
    questions = [
        form.format(x=x) for forms in QUESTION_FORMS.values() for form in forms for x in things
    ]
    options = [
        form.format(a=f"The{a[3:]}", b=b)
        for form in OPTION_FORMS
        for a, b in zip(things, things[::-1], strict=True)
    ]
    problems = [
        render_problem(question, options[i % 7 : i % 7 + 4]) for i, question in enumerate(questions)
    ]
    traces = [
        render_trace(strategy, removed, [(pair, 0)], [pair] * 2, polarity)
        for strategy in STRATEGIES
        for polarity in QUESTION_FORMS
        for removed in COLORS
        for pair in combinations(COLORS, 2)
    ]
    facts = [
        f"{ask} {moment} {a}{COLLIDE}{b}? {moment} {a}{i}{place} {a}{WOULD_COLLIDE}{b} yes no"
        for ask in ("Where is", "When do", "Which of")
        for i, place in enumerate("abcdefghij")
        for moment in MOMENTS
        for a, b in zip(COLORS, COLORS[::-1], strict=True)
    ]
    # Tags are tokens of their own, so no word is to be learned across one.
    return [_TAG.sub(" ", text) for text in (*problems, *options, *traces, *facts)]
