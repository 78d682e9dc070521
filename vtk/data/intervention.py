"""Takes the intervention out of a counterfactual question, as the paper's figure does for stage 1.

CLEVRER asks in one grammar: one of three predicates, with or without "not", and the intervention
before or after it. Nothing else is rewritten; an unknown form is an error, never a guess.
"""

import re

from vtk.data.clevrer import COLORS, MATERIALS, SHAPES

_COLOR, _MATERIAL = "|".join(COLORS), "|".join(MATERIALS)
_THING = rf"the(?: (?:{_COLOR}))?(?: (?:{_MATERIAL}))? (?:{'|'.join(SHAPES)}|object)"
_EVENT = r"(?P<event>(?:what|which event|which of the following) will(?: not)? happen)"
_FORMS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"without {_THING}, {_EVENT}\?",
        rf"if {_THING} is removed, {_EVENT}\?",
        rf"{_EVENT} without {_THING}\?",
        rf"{_EVENT} if {_THING} is removed\?",
    )
)


def remove_intervention(question: str) -> str:
    """The same question about the clip as it is.

    >>> remove_intervention("If the red cube is removed, which event will not happen?")
    'Which event will not happen?'

    Raises:
        ValueError: The question has none of the known forms.
    """
    for form in _FORMS:
        match = form.fullmatch(question.strip())
        if match:
            event = match["event"]
            return f"{event[0].upper()}{event[1:]}?"
    raise ValueError(f"no known form of intervention in {question!r}")
