"""The published scoring rules, stated a second time from their sources and not from our code.

Each takes a completion, the options and the letter of the correct one, and says whether the
completion counts as right (None: the authors would ask a language model). They are slow and plain
on purpose. Sources: falonss703/VideoThinker:src/eval/eval_bench.py (recipe); TencentARC/
Video-Holmes:evaluate.py; OpenGVLab/Ask-Anything:video_chat2/mvbench.ipynb; llyx97/TempCompass:
eval_*.py; EvolvingLMMs-Lab/lmms-eval:tasks/videomme/utils.py; yale-nlp/MMVU:utils/eval_utils.py.
"""

import re


def recipe(text: str, gold: str) -> bool:
    """Stripped content of the first answer block, or everything, equals the letter."""
    found = re.search("<answer>(.*?)</answer>", text, flags=re.DOTALL)
    content = "" if found is None else found.group(1).strip()
    if content == "":
        content = text
    return content.strip() == gold


def recipe_number(text: str, gold: str) -> float:
    """Two decimals, and both or neither written with a point or comma."""
    found = re.search("<answer>(.*?)</answer>", text, flags=re.DOTALL)
    content = "" if found is None else found.group(1).strip()
    content = content or text
    if any(mark in content for mark in ".,") is not any(mark in gold for mark in ".,"):
        return 0.0
    try:
        return float(round(float(content.replace(",", "")), 2) == round(float(gold), 2))
    except (ValueError, OverflowError):
        return 0.0


def recipe_regression(text: str, gold: str) -> float:
    """How many of ten thresholds the relative accuracy passes."""
    found = re.search("<answer>(.*?)</answer>", text, flags=re.DOTALL)
    content = ("" if found is None else found.group(1).strip()) or text
    try:
        said = float(content.replace(",", ""))
    except ValueError:
        return 0.0
    relative = abs(said - float(gold)) / (abs(float(gold)) + 1e-8)
    thresholds = [50, 55, 60, 65, 70, 75, 80, 85, 90, 95]
    return sum(relative < 1 - threshold / 100 for threshold in thresholds) / 10


def video_holmes(text: str, gold: str) -> bool:
    """Last answer block or everything; a marked letter first, then any letter, A before F."""
    blocks = re.findall("<answer>(.*?)</answer>", text, flags=re.DOTALL)
    where = blocks[-1].strip() if blocks else text
    for letter in "ABCDEF":
        if letter + " " in where or letter + ":" in where or "[" + letter in where:
            return letter == gold
    for letter in "ABCDEF":
        if letter in where:
            return letter == gold
    return False


def mmvu(text: str, options: tuple[str, ...], gold: str) -> bool | None:
    """The authors' judge is to extract one character A to E and compare it: what leaves no choice.

    That is the sentence that their prompt asks for or one like it, a single answer block, or a
    completion that is a letter; with or without the text of an option.
    """
    said = text
    if text.count("<answer>") == 1 and text.endswith("</answer>"):
        said = text.split("<answer>")[1].removesuffix("</answer>")
    elif "<" in text:
        return None
    if said.count("answer") + said.count("option") > 1:
        return None
    for lead in ("answer is", "option is", "Best answer:", "Best option:"):
        said = said.split(lead)[-1]
    said = said.strip(" \n:$*([")
    rest = said[1:].strip(" \n.:)*]")
    sentences = ("", *(option.strip(".") for option in options))
    if said[:1] not in tuple("ABCDE") or said[1:2].isalpha() or rest not in sentences:
        return None
    return said[0] == gold


def mvbench(text: str, gold: str) -> bool:
    """First word in lower case: within "(b)", or "(b)" within it."""
    first = text.lower().split(" ")[0]
    return first.replace(".", "") in f"({gold.lower()})" or f"({gold.lower()})" in first


def video_mme(text: str, gold: str) -> bool:
    """The first of A to D after the lead-ins of the authors' list, its missing commas included."""
    text = text.strip()
    for lead in (
        "The best answer is",
        "The correct answer is",
        "The answer is",
        "The answer",
        "The best option isThe correct option is",
        "Best answer:Best option:",
    ):
        text = text.replace(lead, "")
    letters = [letter for letter in text if letter in "ABCD"]
    return bool(letters) and letters[0] == gold


def tempcompass_choice(text: str, options: tuple[str, ...], gold: str) -> bool | None:
    """The whole answer, one letter, or a letter with a point or bracket at the beginning."""
    answer = f"{gold}. {options[ord(gold) - ord('A')]}"
    if text == answer:
        return True
    if text in ("A", "B", "C", "D"):
        return text == answer[0]
    for mark in (".", ")"):
        if any(text.startswith(letter + mark) for letter in "ABCD"):
            return text.split(mark)[0] == answer[0]
    return None


def tempcompass_yes_no(text: str, options: tuple[str, ...], gold: str) -> bool | None:
    """What the lower-case text starts with."""
    answer = options[ord(gold) - ord("A")]
    for word in ("yes", "no"):
        if text.lower().startswith(word):
            return word == answer
    return None


def tempcompass_caption(text: str, options: tuple[str, ...], gold: str) -> bool | None:
    """An option, its sentence or its name, the last rule that fits."""
    answer = options[ord(gold) - ord("A")]
    said = None
    for option in options:
        if option == text:
            said = option
    for option in options:
        sentence = option.split(": ")[1]
        if sentence == text or (") " in text and sentence == text.split(") ")[1]):
            said = sentence
    for option in options:
        name = option.split(": ")[0]
        if name in (text, text.replace(".", "")):
            said = name
    if said is None:
        return None
    return said in (answer, answer.split(":")[0], answer.split(": ")[1])
