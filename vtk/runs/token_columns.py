"""One number a token, as a short text in a rollout row: base64 of 16-bit little-endian words.

A list of numbers would be four times as long and slow to write at every step. Signed KL is kept in
thousandths of a nat, which a word holds up to ±32.766; the smallest word stands for what is no
number.
"""

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

WORDS_PER_NAT: Final = 1000
LARGEST_WORD: Final = 32_766
NOT_A_NUMBER: Final = -32_768
_MAX_CHARS: Final = 65_535


def pack_token_kl(values: Iterable[float]) -> str:
    """Signed KL of each token, in nats, as text; infinities become the largest word.

    Example:
        >>> unpack_token_kl(pack_token_kl([0.25, -1.5, float("inf")]))
        [0.25, -1.5, 32.766]
    """
    return pack_words([_word(value) for value in values])


def pack_words(words: Sequence[int]) -> str:
    """Words of signed KL that a caller made itself: thousandths, bounded, `NOT_A_NUMBER`."""
    return _pack(array("h", words))


def unpack_token_kl(packed: str) -> list[float]:
    """Undo `pack_token_kl`.

    Raises:
        ValueError: The text is none that it makes.
    """
    words = _unpack(packed, "h")
    return [math.nan if word == NOT_A_NUMBER else word / WORDS_PER_NAT for word in words]


def pack_token_chars(lengths: Sequence[int]) -> str | None:
    """Characters that each token adds to its completion, as text; None if one adds over 65,535."""
    if any(length > _MAX_CHARS for length in lengths):
        return None
    return _pack(array("H", lengths))


def unpack_token_chars(packed: str) -> list[int]:
    """Undo `pack_token_chars`.

    Raises:
        ValueError: The text is none that it makes.
    """
    return list(_unpack(packed, "H"))


def _word(value: float) -> int:
    if math.isnan(value):
        return NOT_A_NUMBER
    scaled = min(max(value * WORDS_PER_NAT, -LARGEST_WORD), LARGEST_WORD)
    return round(scaled)


def _pack(words: "array[int]") -> str:
    if sys.byteorder == "big":
        words.byteswap()
    return base64.b64encode(words.tobytes()).decode("ascii")


def _unpack(packed: str, kind: str) -> "array[int]":
    try:
        content = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"no column of tokens: {error}") from None
    if len(content) % 2:
        raise ValueError("no column of tokens: an odd number of bytes")
    words = array(kind, content)
    if sys.byteorder == "big":
        words.byteswap()
    return words
