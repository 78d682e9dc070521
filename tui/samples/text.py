"""A group's words for the screen: literal text, tinted by signed KL, and the lines around it.

Text from files is safe already (`tui.samples.rows`) and is given to `Content`, which reads no
markup. Right and wrong are said with a sign and a word; a tint never says anything that the numbers
do not.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from textual.content import Content, Span

from tui.samples.query import ORDERS, Listing, Query
from tui.samples.rows import BiasAnswer, Completion, Group
from vtk.format import MISSING, format_count, format_number, visible_text

TINTS: Final = ("colour", "marks", "off")
"""How tokens show their signed KL: background colours, underlines for terminals without, or not."""

_STEPS_NATS: Final = (0.1, 0.5, 1.5)
_LEFT_COLOURS: Final = ("#7a4a00", "#b86f00", "#e69f00")
_STAYED_COLOURS: Final = ("#0b3a5c", "#0067a5", "#56b4e9")
_LEFT_MARKS: Final = ("", "underline", "bold underline")
_STAYED_MARKS: Final = ("", "italic", "bold italic")
_TINT_TEXT: Final = ("#ffffff", "#ffffff", "#000000")
_NUM_TRACE_CHARS: Final = 16
_LEFT_SIGNS: Final = "+*#"
_STAYED_SIGNS: Final = "-=~"


def tint_legend(tint: str) -> str:
    """What the tints mean, in one line."""
    if tint == "colour":
        return "token tint: orange is likelier for the policy than for the bias model, blue is not"
    if tint == "marks":
        return "token marks: underlined has left the bias model, italic is below it (over 0.5 nats)"
    return "token tint: off"


def completion_content(completion: Completion, tint: str, max_chars: int) -> Content:
    """The completion as it was written, tinted, and a note where it was cut.

    Args:
        completion: What to show.
        tint: One of `TINTS`.
        max_chars: More than that is cut.
    """
    shown = completion.text[:max_chars]
    spans = [] if tint == "off" else list(_tints(completion, tint, len(shown)))
    num_cut = len(completion.text) - len(shown) + completion.num_cut_chars
    content = Content(shown, spans)
    if not completion.text:
        content = Content.styled("(nothing was written)", "dim")
    return content.append(_cut_note(num_cut)) if num_cut else content


def completion_heading(completion: Completion, *, ascii_only: bool) -> Content:
    """Right or wrong, the reward with its parts, advantage and signed KL, a line each."""
    trace = kl_trace([token.signed_kl for token in completion.tokens])
    kl = MISSING if completion.signed_kl is None else _signed(completion.signed_kl)
    lines = [
        f"{verdict(completion, ascii_only=ascii_only)}: {_letters(completion.parsed)}",
        f"reward {format_number(completion.reward, 3)}"
        f" = acc {format_number(completion.reward_accuracy, 3)}"
        f" + fmt {format_number(completion.reward_format, 3)}",
        f"advantage {_signed(completion.advantage)}",
        f"signed KL {kl} {trace}".rstrip(),
        f"{format_count(completion.num_tokens)} tokens"
        + (", cut at the limit" if completion.is_truncated else ""),
    ]
    if completion.status not in ("ok", "none", ""):
        lines[0] += f" ({completion.status})"
    first, *rest = lines
    style = "bold $success" if completion.is_right else "bold $error"
    return Content.assemble((first, style), *(f"\n{line}" for line in rest))


def kl_trace(values: Sequence[float], num_chars: int = _NUM_TRACE_CHARS) -> str:
    """Signed KL of the tokens in order, a sign each, in ASCII; a tint for who sees no colours.

    ``+ * #`` are over 0.1, 0.5 and 1.5 nats, ``- = ~`` the same below zero, ``!`` is no number. A
    longer completion is cut into stretches, of which each shows its strongest token.

    Example:
        >>> kl_trace([0.0, 0.2, -0.7, 3.0, float("nan")])
        '.+=#!'
    """
    if not values:
        return ""
    num_shown = min(num_chars, len(values))
    edges = [place * len(values) // num_shown for place in range(num_shown + 1)]
    stretches = [values[start:end] for start, end in pairwise(edges)]
    return "".join(_sign(max(stretch, key=_strength)) for stretch in stretches)


def verdict(completion: Completion, *, ascii_only: bool) -> str:
    """Right, partly right or wrong, with a sign and a word."""
    signs = "+~-" if ascii_only else "✓~✗"
    if completion.is_right:
        no_format = "" if completion.reward_format >= 1.0 else ", format failed"
        return f"{signs[0]} right{no_format}"
    if completion.reward_accuracy > 0:
        return f"{signs[1]} partly right"
    return f"{signs[2]} wrong"


def question_content(group: Group, *, ascii_only: bool) -> Content:
    """The question with its options, the right letters, the bias model's, and where it is from."""
    parts: list[Content | str | tuple[str, str]] = [
        (f"step {group.step}  group {group.number}  {group.question_type}", "bold"),
        f"  {group.sample_id}\n",
        group.problem,
    ]
    if group.num_cut_problem_chars:
        parts.append(_cut_note(group.num_cut_problem_chars))
    parts.append((f"\nright: {group.solution or 'none'}", "bold"))
    num_completions = len(group.completions)
    parts.append(f"   {group.num_right} of {num_completions} right")
    if group.bias_answer is not None:
        answer = group.bias_answer
        sign, word = _bias_verdict(answer, ascii_only=ascii_only)
        parts.append((f"   bias model: {_letters(answer.parsed)} {sign} {word}", "bold"))
        parts.append(f", {group.num_as_bias_model} of {num_completions} answer as it does")
    return Content.assemble(*(Content(p) if isinstance(p, str) else p for p in parts))


def bias_content(answer: BiasAnswer, *, ascii_only: bool, max_chars: int) -> Content:
    """What the bias model answered to the same question."""
    sign, word = _bias_verdict(answer, ascii_only=ascii_only)
    shown = answer.text[:max_chars]
    num_cut = len(answer.text) - len(shown) + answer.num_cut_chars
    content = Content.assemble(
        (f"bias model: {sign} {word}: {_letters(answer.parsed)}\n", "bold"), shown
    )
    return content.append(_cut_note(num_cut)) if num_cut else content


def _letters(parsed: str | None) -> str:
    return "nothing readable" if parsed is None else parsed or "none"


def _bias_verdict(answer: BiasAnswer, *, ascii_only: bool) -> tuple[str, str]:
    is_right = answer.strict == 1.0
    signs = "+-" if ascii_only else "✓✗"
    return signs[not is_right], "right" if is_right else "wrong"


def listing_status(listing: Listing, query: Query, num_completions: int) -> str:
    """How many groups are shown, of how many, and in which order."""
    order = ORDERS[query.order].words
    parts = [f"{format_count(len(listing))} groups", order]
    if query.question_type != "all":
        parts.append(query.question_type)
    if query.answers != "all":
        parts.append(query.answers)
    if query.text:
        parts.append(f'holding "{visible_text(query.text, 30)}"')
    if listing.num_searched < listing.num_groups:
        parts.append(
            f"looked at {format_count(listing.num_searched)} of {format_count(listing.num_groups)}"
        )
    parts.append(f"{format_count(num_completions)} completions in all")
    return " · ".join(parts)


def _tints(completion: Completion, tint: str, num_chars: int) -> Iterable[Span]:
    start = 0
    for token in completion.tokens:
        if start >= num_chars:
            return
        style = _tint(token.signed_kl, tint)
        if style and token.end > start:
            yield Span(start, min(token.end, num_chars), style)
        start = token.end


def _strength(value: float) -> float:
    return math.inf if math.isnan(value) else abs(value)


def _level(signed_kl: float) -> int:
    """How many of the steps a token's signed KL has passed, less one: −1 shows nothing."""
    return sum(abs(signed_kl) >= step for step in _STEPS_NATS) - 1


def _sign(signed_kl: float) -> str:
    if math.isnan(signed_kl):
        return "!"
    level = _level(signed_kl)
    return "." if level < 0 else (_LEFT_SIGNS if signed_kl > 0 else _STAYED_SIGNS)[level]


def _tint(signed_kl: float, tint: str) -> str:
    if math.isnan(signed_kl):
        return "reverse"
    level = _level(signed_kl)
    if level < 0:
        return ""
    if tint == "marks":
        return (_LEFT_MARKS if signed_kl > 0 else _STAYED_MARKS)[level]
    colour = (_LEFT_COLOURS if signed_kl > 0 else _STAYED_COLOURS)[level]
    return f"{_TINT_TEXT[level]} on {colour}"


def _cut_note(num_chars: int) -> Content:
    return Content.styled(
        f"\n[{format_count(num_chars)} more characters are not shown; the file holds them]",
        "bold reverse",
    )


def _signed(value: float) -> str:
    shown = format_number(value, 3)
    return f"+{shown}" if value > 0 else shown
