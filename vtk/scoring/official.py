"""The rules of the benchmarks' own authors, restated in our own words; no judge model.

Most of these rules were written before models thought aloud, for completions that are an answer and
nothing else. So each is given the *answer text*: what stands in the last answer block outside the
thought, else what follows the thought, else the whole completion. For a completion without tags
that is the completion, and the rule is the authors'; for one with tags it is what the authors' rule
says of the answer alone. Video-Holmes' rule knows the tags itself and sees the whole completion.
Rules see the solution as the letter of the correct option.
"""

import re

from vtk.data.problem import LETTERS
from vtk.scoring.answers import MAX_TAGS, find_tags
from vtk.scoring.verdicts import Asked, Rule, Verdict, answer_blocks

_MAX_ANSWER_CHARS = 10_000
_ARTICLE = r"A\s+(?!(?:is|was|and|or|because|since)\b)[a-z]"
_LETTER = rf"(?!{_ARTICLE})([A-E])(?![A-Za-z'’])"
_LEAD = r"(?:[\s:*_$'\"`(\[{\\]|(?i:boxed|text|textbf|mathrm|mathbf|the|is|letter|option)){0,24}"
_FINAL_ANSWER = re.compile(rf"(?i:final answer){_LEAD}{_LETTER}")
_ANSWER = re.compile(rf"(?i:(?:answer|option)[\s*_]{{0,4}}(?:is|:)){_LEAD}{_LETTER}")
_LETTER_FIRST = re.compile(r"\W{0,8}([A-E])(?:[.:)]|\W{0,8}$)")
_LETTER_ALONE = re.compile(rf"(?<![A-Za-z'’]){_LETTER}")
_VIDEO_MME_LEADS = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)


def answer_text(completion: str) -> str:
    """The answer without the thought before it, stripped."""
    text = completion[-_MAX_ANSWER_CHARS:]
    tags = find_tags(text)
    ends = [tag.end for tag in tags[:MAX_TAGS] if tag.name == "think" and tag.is_closing]
    after = text[ends[-1] :] if ends else text
    blocks = answer_blocks(after)
    return blocks[-1] if blocks else after.strip()


def mmvu(completion: str, asked: Asked) -> Verdict:
    """MMVU(mc): the authors ask a judge model to extract the letter; this rule stands in for it.

    The letter A to E after the last "final answer" (what the authors' prompt asks for), else after
    the last "answer is", "option is" or "answer:", else the one that the text begins with, else the
    only one that stands alone. The article in "A gas expands" is no letter, and two letters are no
    answer. Source of prompt and judge: yale-nlp/MMVU:utils/constant.py, utils/eval_utils.py.
    """
    text = answer_text(completion)
    said = _last(_FINAL_ANSWER, text) or _last(_ANSWER, text)
    if said is None:
        first, alone = _LETTER_FIRST.match(text), set(_LETTER_ALONE.findall(text))
        said = first[1] if first else alone.pop() if len(alone) == 1 else None
    return _letter(said, asked)


def video_holmes(completion: str, asked: Asked) -> Verdict:
    """Video-Holmes: a letter search in the last answer block, else in the whole completion.

    Going through A to F, the first letter that is followed by a space or a colon or preceded by
    "["; if none is, the first of A to F that occurs at all. Source: TencentARC/Video-Holmes:
    evaluate.py.
    """
    blocks = answer_blocks(completion)
    text = blocks[-1] if blocks else completion
    letters = "ABCDEF"
    marked = [c for c in letters if f"{c} " in text or f"{c}:" in text or f"[{c}" in text]
    found = marked or [c for c in letters if c in text]
    return _letter(found[0] if found else None, asked)


def mvbench(completion: str, asked: Asked) -> Verdict:
    """MVBench: the first word, lower case, against "(a)".

    Right when the word without full stops occurs in "(a)" or "(a)" occurs in the word. A word
    without any of the letters a to g is no answer; the authors' notebook counts an empty one as
    right, because it occurs in everything. Source: OpenGVLab/Ask-Anything:video_chat2/mvbench.ipynb
    with the guard of magic-research/PLLaVA:tasks/eval/mvbench.
    """
    word = answer_text(completion).lower().split(" ")[0]
    if not any(letter in word for letter in "abcdefg"):
        return Verdict(0.0, None)
    option = f"({asked.solution.lower()})"
    return Verdict(float(word.replace(".", "") in option or option in word), word)


def tempcompass(completion: str, asked: Asked) -> Verdict:
    """TempCompass: matching by hand-made rules; where they find nothing, wrong.

    That is the authors' evaluation without its language model (their --disable_llm). Source:
    llyx97/TempCompass:eval_multi-choice.py, eval_yes_no.py, eval_caption_matching.py.
    """
    text = answer_text(completion)
    if asked.kind == "yes_no":
        return _yes_no(text, asked)
    if asked.kind == "caption_matching":
        return _caption(text, asked)
    return _multi_choice(text, asked)


def video_mme(completion: str, asked: Asked) -> Verdict:
    """Video-MME: the first capital A to D once usual lead-ins are dropped.

    The authors' list lacks two commas, so that "Best answer:" and "Best option:" are not dropped
    there and the B of "Best" is read; here they are. Source: EvolvingLMMs-Lab/lmms-eval:
    tasks/videomme/utils.py, which repeats the authors'.
    """
    text = answer_text(completion)
    for lead in _VIDEO_MME_LEADS:
        text = text.replace(lead, "")
    found = re.search(r"[ABCD]", text)
    return _letter(found[0] if found else None, asked)


OFFICIAL: dict[str, Rule] = {
    "mmvu": mmvu,
    "video-holmes": video_holmes,
    "mvbench": mvbench,
    "tempcompass": tempcompass,
    "video-mme": video_mme,
}


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found: list[str] = pattern.findall(text)
    return found[-1] if found else None


def _letter(said: str | None, asked: Asked) -> Verdict:
    return Verdict(float(said == asked.solution), said)


def _yes_no(text: str, asked: Asked) -> Verdict:
    lowered = text.lower()
    said = next((word for word in ("yes", "no") if lowered.startswith(word)), None)
    gold = asked.options[LETTERS.index(asked.solution)]
    return Verdict(float(said == gold), said)


def _multi_choice(text: str, asked: Asked) -> Verdict:
    """A whole option, a letter alone, or a letter that "." or ")" follows."""
    gold = f"{asked.solution}. {asked.options[LETTERS.index(asked.solution)]}"
    if text == gold:
        return Verdict(1.0, asked.solution)
    if text in tuple("ABCD") or (text[:1] in tuple("ABCD") and text[1:2] in (".", ")")):
        return _letter(text[0], asked)
    return Verdict(0.0, None)


def _caption(text: str, asked: Asked) -> Verdict:
    """A whole option, its sentence, or its name ("Caption A"); later options win over earlier."""
    gold = asked.options[LETTERS.index(asked.solution)]
    names = [option.split(": ")[0] for option in asked.options]
    sentences = [option.split(": ")[1] for option in asked.options]
    behind_bracket = text.split(") ")[1] if ") " in text else None
    said = None
    for found in (
        [option for option in asked.options if option == text],
        [sentence for sentence in sentences if sentence in (text, behind_bracket)],
        [name for name in names if name in (text, text.replace(".", ""))],
    ):
        said = found[-1] if found else said
    gold_forms = (gold, gold.split(":")[0], gold.split(": ")[1])
    return Verdict(float(said in gold_forms), said)
