"""How a benchmark is asked and scored: as its authors do, or as the published recipe did.

A protocol is a prompt for each kind of question, a rule for the answer, and the frames and sampling
that belong to it. Prompts ask for what the published ones ask for, in other words and in the same
layout; `--prompt-file` asks in words of your own, and every result carries its prompt's hash.

* **official**: the authors' layout and rule. They fix no frame count; the model's settings do.
* **recipe**: falonss703/VideoThinker:src/eval/eval_bench.py after Video-R1: think and answer tags,
  one letter for every question (also where several are right), "Options:" glued to the question, no
  cropping, 2 frames a second and at most 32, temperature 0.01 and top-p 0.001, exact match.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from vtk.data.problem import LETTERS, split_problem
from vtk.data.sample import VideoSample
from vtk.errors import ConfigError
from vtk.scoring.official import OFFICIAL
from vtk.scoring.recipe import recipe_verdict
from vtk.scoring.verdicts import Rule
from vtk.video.frames import Rounding

ProtocolName = Literal["official", "recipe"]
PROTOCOL_NAMES: Final[tuple[ProtocolName, ...]] = ("official", "recipe")
SLIP_PIXELS_PX: Final = 105_369
"""What the recipe's scripts really show: one variable set two limits (256*28*28 was meant)."""

RECIPE_PIXELS_PX: Final = 256 * 28 * 28
RECIPE_MIN_PIXELS_PX: Final = 128 * 28 * 28
_PLACES = re.compile(r"\{(question|options)\}")


@dataclass(frozen=True)
class PromptForm:
    """The words of the user turn for one kind of question.

    Attributes:
        text: Holds {question} and, where there are any, {options}.
        option: One option: {letter} and {text}.
        joiner: What stands between options.
    """

    text: str
    option: str = "{letter}. {text}"
    joiner: str = "\n"

    def render(self, sample: VideoSample) -> str:
        """The words for one question; braces in the question stay as they are."""
        lines = [
            self.option.replace("{letter}", letter, 1).replace("{text}", text, 1)
            for letter, text in zip(LETTERS, sample.options, strict=False)
        ]
        question = sample.question or split_problem(sample.problem)[0]
        parts = {"question": question, "options": self.joiner.join(lines)}
        return _PLACES.sub(lambda place: parts[place[1]], self.text)


@dataclass(frozen=True)
class Protocol:
    """How one suite is asked and scored.

    Attributes:
        name: official or recipe.
        rule: The name of its rule: a key of `vtk.scoring.official.OFFICIAL`, or "recipe".
        forms: Kind of question -> its prompt.
        crops_clips: Whether a question about a part of a clip is shown that part only.
        num_frames: Frames of a clip, at most; None is as the model's settings say.
        fps: Frames a second; None is as the model's settings say.
        rounding: How a number of frames that follows from `fps` becomes even; None as above.
        min_pixels_px: Least area of a frame; None as above.
        max_pixels_px: Greatest area of a frame; None as above.
        temperature: Of sampling; None as above.
        top_p: Of sampling; None as above.
        max_completion_tokens: Longest completion; None as above.
    """

    name: ProtocolName
    rule: str
    forms: dict[str, PromptForm]
    crops_clips: bool = True
    num_frames: int | None = None
    fps: float | None = None
    rounding: Rounding | None = None
    min_pixels_px: int | None = None
    max_pixels_px: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_completion_tokens: int | None = None

    def words(self, sample: VideoSample) -> str:
        """What the user turn says about one question.

        Raises:
            ConfigError: The protocol has no prompt for this kind of question.
        """
        if sample.kind not in self.forms:
            raise ConfigError(
                f"the {self.name} protocol has no prompt for {sample.kind} questions",
                "Ask them with --protocol recipe.",
            )
        return self.forms[sample.kind].render(sample)

    @property
    def verdict(self) -> Rule:
        """The rule that scores a completion."""
        return recipe_verdict if self.rule == "recipe" else OFFICIAL[self.rule]

    def prompt_sha256(self) -> str:
        """sha256 of the words of every prompt."""
        forms = {kind: asdict(form) for kind, form in self.forms.items()}
        return hashlib.sha256(json.dumps(forms, sort_keys=True).encode()).hexdigest()

    @property
    def has_own_words(self) -> bool:
        """Whether it asks in words that are no protocol's here, what only a judge scores apart."""
        known = [
            (kind, form.text)
            for protocols in PROTOCOLS.values()
            for protocol in protocols.values()
            for kind, form in protocol.forms.items()
        ]
        kinds = {kind for kind, _ in known}
        asked = {(kind, form.text) for kind, form in self.forms.items() if kind in kinds}
        return not asked <= set(known)

    def with_words(self, text: str) -> "Protocol":
        """The same protocol asking in other words.

        Args:
            text: Holds {question}, and {options} if options are to be shown.

        Raises:
            ConfigError: It does not hold {question}.
        """
        if "{question}" not in text:
            raise ConfigError(
                "the prompt file does not hold {question}",
                "Write {question} where the question goes and {options} where its options go.",
            )
        return replace(
            self, forms={kind: replace(form, text=text) for kind, form in self.forms.items()}
        )


_TAGS: Final = (
    "\nThink before you answer, the way a person would who ponders the question, talks it over "
    "within and checks the result. Write your reasoning in detail between the <think> and </think> "
    "tags; then give the final answer between the <answer> and </answer> tags."
)
_ONE_LETTER: Final = (
    " Inside the <answer> </answer> tags write nothing but the one letter of the option you choose "
    "(for example A, B, C or D)."
)
_ONE_NUMBER: Final = (
    " Inside the <answer> </answer> tags write nothing but the number (for example 42 or 3.14)."
)
_ONE_TEXT: Final = " Inside the <answer> </answer> tags write your answer as text."
_GLUED: Final = PromptForm("{question}Options:\n{options}\n" + _TAGS + _ONE_LETTER)
_LETTERED: Final = PromptForm("{question}\n{options}" + _TAGS + _ONE_LETTER)

_RECIPE: Final = Protocol(
    name="recipe",
    rule="recipe",
    forms={
        "choice": _GLUED,
        "yes_no": _GLUED,
        "caption_matching": _GLUED,
        "numerical": PromptForm("{question}" + _TAGS + _ONE_NUMBER),
        "regression": PromptForm("{question}" + _TAGS + _ONE_NUMBER),
        "free-form": PromptForm("{question}" + _TAGS + _ONE_TEXT),
    },
    crops_clips=False,
    num_frames=32,
    fps=2.0,
    rounding="down",
    min_pixels_px=RECIPE_MIN_PIXELS_PX,
    max_pixels_px=RECIPE_PIXELS_PX,
    temperature=0.01,
    top_p=0.001,
    max_completion_tokens=1024,
)
_RECIPE_WITHOUT_TYPE: Final = replace(_RECIPE, forms={**_RECIPE.forms, "choice": _LETTERED})
"""Video-Holmes and CLEVRER: their published files hold no problem type, only lettered problems."""

_OFFICIAL: Final = {
    "mmvu": PromptForm(
        "Question: {question}\n{options}\n\nWork through this multiple-choice question step by "
        "step: first explain your reasoning, then end with one sentence of the form 'Therefore, "
        "the final answer is: X', where X is the letter of an option.",
        option="{letter}: {text}",
    ),
    "video-holmes": PromptForm(
        "Watch the video, reason about it and answer a question that has one right option. Write "
        "your reasoning between the <think> and </think> tags and your final answer between the "
        "<answer> and </answer> tags. Question: {question}. Options: {options}. Your answer:",
        option="{letter}: {text}",
        joiner=", ",
    ),
    "mvbench": PromptForm(
        "Question: {question}\nOptions:\n{options}\nReply with the best option only, and begin "
        "with its letter in brackets, as in (A).",
        option="({letter}) {text}",
    ),
    "video-mme": PromptForm(
        "A multiple-choice question about the video follows. Reply with nothing but the letter "
        "(A, B, C or D) of its best option.\n{question}\n{options}\nThe best answer is:"
    ),
}
_TEMPCOMPASS: Final = {
    "choice": PromptForm("{question}\n{options}\nReply directly with the best option:"),
    "yes_no": PromptForm("{question}\nReply with yes or no:"),
    "caption_matching": PromptForm(
        "{question}\n{options}\nReply directly with the best option:", option="{text}"
    ),
}


def _official(name: str, forms: dict[str, PromptForm] | None = None) -> Protocol:
    return Protocol("official", name, forms or {"choice": _OFFICIAL[name]})


_JUDGED: Final = {
    "tempcompass": ("captioning", PromptForm("{question}")),  # its words are all in the question
    "mmvu": (
        "open_ended",
        PromptForm(
            "Question: {question}\n\nWork through this question step by step: first explain your "
            "reasoning, then end with one sentence of the form 'Therefore, the final answer is: "
            "Answer: X', where X is your final answer."
        ),
    ),
}
"""Rule of an official protocol -> the kind of question that only a judge scores, and its prompt."""


def judged_kind(protocol: Protocol | None) -> str | None:
    """The kind of question that a protocol can ask and only a judge can score; None without one."""
    if protocol is None or protocol.name != "official" or protocol.rule not in _JUDGED:
        return None
    return _JUDGED[protocol.rule][0]


def with_judged_forms(protocol: Protocol) -> Protocol:
    """An official protocol with the prompt of what only a judge scores.

    It is apart, so that what is asked without a judge keeps its hash; the words of a prompt file
    are about questions with options.
    """
    kind, form = _JUDGED[protocol.rule]
    return replace(protocol, forms={**protocol.forms, kind: form})


PROTOCOLS: Final[dict[str, dict[ProtocolName, Protocol]]] = {
    "mmvu": {"official": _official("mmvu"), "recipe": _RECIPE},
    "video-holmes": {"official": _official("video-holmes"), "recipe": _RECIPE_WITHOUT_TYPE},
    "mvbench": {"official": _official("mvbench"), "recipe": _RECIPE},
    "tempcompass": {"official": _official("tempcompass", _TEMPCOMPASS), "recipe": _RECIPE},
    "video-mme": {"official": _official("video-mme"), "recipe": _RECIPE},
    "clevrer": {"recipe": _RECIPE_WITHOUT_TYPE},
}
"""Suite -> its protocols. CLEVRER's official rule needs none: `vtk.scoring.rewards` has it."""
