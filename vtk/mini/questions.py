"""Counterfactual questions about a scene, in CLEVRER's form: text, programs, choices.

The correct options come from the world simulated without the object. CLEVRER's programs are flat
postfix token lists; a question's is run after a choice's (github.com/chuangg/CLEVRER, executor).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from vtk.mini.language import OPTION_FORMS, QUESTION_FORMS, Polarity
from vtk.mini.scenes import Pair, Scene, Thing

_POLARITIES: tuple[Polarity, Polarity] = ("will", "will_not")
# (options, correct ones) -> chance. Where all are correct guessing is easiest: those are rarest.
_SHAPE_WEIGHTS = {(2, 1): 0.5, (3, 1): 0.22, (3, 2): 0.22, (2, 2): 0.06}
_NUM_SHAPE_DRAWS = 12
# Tried in this order to name an object; all three attributes always single it out.
_NAMINGS: tuple[tuple[str, ...], ...] = (
    ("color",),
    ("shape",),
    ("color", "shape"),
    ("color", "material"),
    ("material", "shape"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One counterfactual question.

    Attributes:
        removed: Index of the object that the question takes away.
        pairs: For each option the pair whose collision it names.
        gold: For each option whether it is correct.
        polarity: "will" or "will_not" happen.
        observational: Whether copying the clip's collisions gives exactly the correct options.
        form: Which of the polarity's surface forms the question uses.
        removed_words: Attributes that the text uses for the removed object.
        pair_words: The same for both objects of each option.
        option_forms: Which surface form each option uses.
    """

    removed: int
    pairs: tuple[Pair, ...]
    gold: tuple[bool, ...]
    polarity: Polarity
    observational: bool
    form: int
    removed_words: Thing
    pair_words: tuple[tuple[Thing, Thing], ...]
    option_forms: tuple[int, ...]

    @property
    def text(self) -> str:
        """The question without its options."""
        return QUESTION_FORMS[self.polarity][self.form].format(x=_noun_phrase(self.removed_words))

    @property
    def options(self) -> tuple[str, ...]:
        """The options' texts."""
        return tuple(
            OPTION_FORMS[form].format(a=_capitalised(_noun_phrase(a)), b=_noun_phrase(b))
            for form, (a, b) in zip(self.option_forms, self.pair_words, strict=True)
        )


def ask(
    rng: np.random.Generator, scene: Scene, num_questions: int, observational_frac: float
) -> list[Question]:
    """Different questions about one scene.

    Kind, polarity and the numbers of options and of correct ones are drawn in this order, so that
    none of them gives the answer away.

    Args:
        rng: Decides everything.
        scene: The world.
        num_questions: How many to ask; fewer come back where a scene does not hold a question of
            the kind drawn.
        observational_frac: Chance that a question is drawn from the observational ones.
    """
    drafts = _all_drafts(scene)
    asked: list[Question] = []
    for _ in range(num_questions):
        observational = bool(rng.random() < observational_frac)
        draft = _pick(rng, [d for d in drafts if d.observational == observational])
        if draft is not None:
            drafts.remove(draft)
            asked.append(_word(rng, scene, draft))
    return asked


@dataclass(frozen=True, slots=True)
class _Draft:
    """A question before it has words: what is removed, which pairs are offered, which are right."""

    removed: int
    polarity: Polarity
    pairs: tuple[Pair, ...]
    gold: tuple[bool, ...]
    observational: bool

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.pairs), sum(self.gold)


def _all_drafts(scene: Scene) -> list[_Draft]:
    """Every question with two or three options of which at least one is correct."""
    observed = scene.observed_pairs()
    drafts = []
    for removed in range(len(scene.things)):
        happens = scene.pairs_without(removed)
        others = [i for i in range(len(scene.things)) if i != removed]
        for polarity, size in product(_POLARITIES, (2, 3)):
            for pairs in combinations(combinations(others, 2), size):
                gold = tuple((p in happens) == (polarity == "will") for p in pairs)
                copied = tuple((p in observed) == (polarity == "will") for p in pairs)
                if any(gold):
                    drafts.append(_Draft(removed, polarity, pairs, gold, gold == copied))
    return drafts


def _pick(rng: np.random.Generator, drafts: Sequence[_Draft]) -> _Draft | None:
    shapes, weights = list(_SHAPE_WEIGHTS), list(_SHAPE_WEIGHTS.values())
    for _ in range(_NUM_SHAPE_DRAWS):
        polarity = _POLARITIES[int(rng.integers(2))]
        shape = shapes[int(rng.choice(len(shapes), p=weights))]
        fitting = [d for d in drafts if d.polarity == polarity and d.shape == shape]
        if fitting:
            return fitting[int(rng.integers(len(fitting)))]
    return None


def _word(rng: np.random.Generator, scene: Scene, draft: _Draft) -> Question:
    """Put a draft into words: the options' order, who is named first, the surface forms."""
    order = rng.permutation(len(draft.pairs))
    pairs = [draft.pairs[k] if rng.random() < 0.5 else draft.pairs[k][::-1] for k in order]
    return Question(
        removed=draft.removed,
        pairs=tuple(pairs),
        gold=tuple(draft.gold[k] for k in order),
        polarity=draft.polarity,
        observational=draft.observational,
        form=int(rng.integers(len(QUESTION_FORMS[draft.polarity]))),
        removed_words=describe(rng, scene.things, draft.removed),
        pair_words=tuple(
            (describe(rng, scene.things, a), describe(rng, scene.things, b)) for a, b in pairs
        ),
        option_forms=tuple(int(rng.integers(len(OPTION_FORMS))) for _ in pairs),
    )


def describe(rng: np.random.Generator, things: Sequence[Thing], index: int) -> Thing:
    """A shortest set of attributes that singles one object out, the colour preferred.

    The shape is also named in half of the cases where "object" would do, as people do.

    Returns:
        The attributes that are said; the others are empty.
    """
    thing = things[index]
    unique = (used for used in _NAMINGS if _num_matches(things, thing, used) == 1)
    used = next(unique, ("color", "material", "shape"))
    with_shape = "shape" in used or rng.random() < 0.5
    return Thing(
        thing.color if "color" in used else "",
        thing.material if "material" in used else "",
        thing.shape if with_shape else "",
    )


def to_clevrer(question: Question, question_id: int) -> dict[str, Any]:
    """The question as an entry of CLEVRER's question files."""
    program = [
        "all_events",
        *_object_program(question.removed_words),
        "get_counterfact",
        "belong_to",
    ]
    if question.polarity == "will_not":
        program.append("negate")
    choices = []
    for i, (text, (a, b), gold) in enumerate(
        zip(question.options, question.pair_words, question.gold, strict=True)
    ):
        events = [
            "all_events",
            *_object_program(a),
            "filter_collision",
            *_object_program(b),
            "filter_collision",
        ]
        choices.append(
            {
                "choice_id": i,
                "choice": text,
                "program": [*events, "unique"],
                "answer": "correct" if gold else "wrong",
            }
        )
    return {
        "question_id": question_id,
        "question": question.text,
        "question_type": "counterfactual",
        "program": program,
        "choices": choices,
    }


def _object_program(words: Thing) -> list[str]:
    program = ["objects"]
    for value, attribute in (
        (words.color, "color"),
        (words.material, "material"),
        (words.shape, "shape"),
    ):
        if value:
            program += [value, f"filter_{attribute}"]
    return [*program, "unique"]


def _noun_phrase(words: Thing) -> str:
    return " ".join(
        ["the", *(w for w in (words.color, words.material, words.shape or "object") if w)]
    )


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def _num_matches(things: Sequence[Thing], thing: Thing, used: tuple[str, ...]) -> int:
    return sum(all(getattr(other, a) == getattr(thing, a) for a in used) for other in things)
