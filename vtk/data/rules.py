"""When is a counterfactual question observational: four readings of the paper's sentence.

A question is observational when describing the clip suffices to answer it. The paper does not
define this to the letter and its code for the split is not public, so the readings stand side by
side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

DEFAULT_RULE = "D1"


@dataclass(frozen=True, slots=True)
class QuestionFacts:
    """What a rule looks at.

    Attributes:
        is_negated: The question asks what will *not* happen.
        observed: For each option whether its pair collides in the clip.
        correct: For each option whether it is a correct answer.
        removed_collides: The removed object takes part in some collision of the clip.
    """

    is_negated: bool
    observed: Sequence[bool]
    correct: Sequence[bool]
    removed_collides: bool

    def described(self) -> list[bool]:
        """The options that somebody chooses who answers with what the clip shows."""
        return [seen != self.is_negated for seen in self.observed]


def copies_the_clip(facts: QuestionFacts) -> bool:
    """D1: choosing what the clip shows gives exactly the correct options."""
    return facts.described() == list(facts.correct)


def correct_options_agree(facts: QuestionFacts) -> bool:
    """D2: every correct option agrees with what the clip shows."""
    pairs = zip(facts.described(), facts.correct, strict=True)
    return all(described for described, correct in pairs if correct)


def any_option_observed(facts: QuestionFacts) -> bool:
    """D3: the event of at least one option happens in the clip."""
    return any(facts.observed)


def removed_object_is_idle(facts: QuestionFacts) -> bool:
    """D4: the removed object takes part in no collision of the clip."""
    return not facts.removed_collides


@dataclass(frozen=True, slots=True)
class Rule:
    """A reading: its name, when it calls a question observational, and the test."""

    name: str
    sentence: str
    is_observational: Callable[[QuestionFacts], bool]


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("D1", "choosing what the clip shows is exactly right", copies_the_clip),
        Rule("D2", "every correct option agrees with the clip", correct_options_agree),
        Rule("D3", "some option's event happens in the clip", any_option_observed),
        Rule("D4", "the removed object collides with nothing", removed_object_is_idle),
    )
}


def label_by_rule(facts: QuestionFacts) -> dict[str, str]:
    """`observational` or `inferential` under each rule."""
    return {
        name: "observational" if rule.is_observational(facts) else "inferential"
        for name, rule in RULES.items()
    }
