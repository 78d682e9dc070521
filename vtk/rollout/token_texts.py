"""How many characters of a completion each of its tokens wrote, so that a token can be marked."""

from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import DecodeStream


class TokenTexts:
    """Attributes a completion's characters to its tokens.

    Args:
        tokenizer: The one that the completions were decoded with.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._texts: dict[int, str] = {}

    def lengths(self, ids: Sequence[int], completion: str) -> list[int] | None:
        """Characters of each token, in all as many as the completion has.

        A character that several tokens write belongs to the last of them; a special token has none.

        Args:
            ids: The completion's tokens.
            completion: Their text, without special tokens.

        Returns:
            None if the tokens' texts do not add up to the completion.
        """
        pieces = [self._text(token) for token in ids]
        if "".join(pieces) != completion:
            pieces = self._streamed(ids, completion)
        return [len(piece) for piece in pieces] if "".join(pieces) == completion else None

    def _text(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self.tokenizer.decode([token], skip_special_tokens=True)
        return self._texts[token]

    def _streamed(self, ids: Sequence[int], completion: str) -> list[str]:
        """Token by token where texts depend on their neighbours, as bytes of one character do."""
        stream = DecodeStream(skip_special_tokens=True)
        pieces = [stream.step(self.tokenizer.backend_tokenizer, token) or "" for token in ids]
        if pieces:  # characters that were never finished show when all is decoded
            pieces[-1] += completion[len("".join(pieces)) :]
        return pieces
