"""Completions as models write them: written by hand, then mutated with a fixed seed."""

import random

OPTIONS = ("He ran.", "She sat.", "It fell.", "All of them.")
CAPTIONS = ("Caption A: It is fast.", "Caption B: It is slow.")

BY_HAND = [
    "B",
    "B.",
    "(B)",
    "b",
    " B",
    "B: She sat.",
    "B. She sat.",
    "(B) She sat.",
    "[B]",
    "**B**",
    "B)",
    "B and C",
    "A, B",
    "Option B",
    "The answer is B.",
    "The answer is B",
    "The best answer is C.",
    "The correct answer is (B)",
    "The correct option is B",
    "The best option is: D",
    "Best answer: B",
    "Best option: C",
    "Therefore, the final answer is: B",
    "Therefore, the final answer is: $B",
    "She sat.",
    "she sat",
    "I think that she sat down. B",
    "",
    " ",
    ".",
    "yes",
    "Yes, it is slow.",
    "No.",
    "no",
    "not at all",
    "I would say yes",
    "Caption B",
    "Caption A.",
    "caption b",
    "Caption B: It is slow.",
    "It is slow.",
    "1) It is slow.",
    "B) It is slow.",
    "<answer>B</answer>",
    "<answer> B </answer>",
    "<answer>B.</answer>",
    "<answer>A, C</answer>",
    "<answer></answer>",
    "<answer>B",
    "B</answer>",
    "<think>A car moves. Because of D it stops.</think><answer>B</answer>",
    "<think>It is <answer>A</answer>?</think><answer>B</answer>",
    "<think>so</think>\n<answer>\nB\n</answer>",
    "<think>so</think> yes",
    "<think>so</think><answer>no</answer>",
    "<think>so</think><answer>Caption B</answer>",
    "<answer>A</answer><answer>B</answer>",
    "<think>unfinished, maybe C",
    "ＡＢＣ",
    "\u202eB\x1b[2J",
    "A" * 300,
    "<answer>" * 40,
]
NUMBERS = [
    "3.14",
    "3.14159",
    "3,140",
    "3",
    "-3.14",
    "3.1",
    "1e3",
    "nan",
    "inf",
    "two",
    "<answer>3.14</answer>",
    "<answer> 42 </answer>",
    "42",
    "42.0",
    "42.004",
    "",
    "4,2",
    "30",
    "63",
    "2.98",
    "3.3",
]


def corpus(num_outputs: int, seed: int = 0) -> list[str]:
    """At least so many different completions: the ones by hand, and mutations of them."""
    rng = random.Random(seed)
    found = dict.fromkeys(BY_HAND)
    while len(found) < num_outputs:
        found[_mutated(rng, rng.choice(BY_HAND))] = None
    return list(found)


def _mutated(rng: random.Random, text: str) -> str:
    for _ in range(rng.randint(1, 3)):
        text = rng.choice(_MUTATIONS)(rng, text)
    return text


def _insert(rng: random.Random, text: str) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(" \n.,:;()[]*ABCDEFabcd-") + text[at:]


def _delete(rng: random.Random, text: str) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + text[at + 1 :]


def _wrap(rng: random.Random, text: str) -> str:
    return rng.choice(
        ("<answer>{}</answer>", "<think>so</think>{}", "({})", "{}.", "{} or A")
    ).replace("{}", text)


def _letter(rng: random.Random, text: str) -> str:
    return text.replace("B", rng.choice("ABCDEF"))


def _join(rng: random.Random, text: str) -> str:
    return text + rng.choice((" ", "\n", ". ")) + rng.choice(BY_HAND)


_MUTATIONS = (_insert, _delete, _wrap, _letter, _join)
