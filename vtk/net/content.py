"""What a file is expected to hold, and the digests that tell whether it does.

The Hugging Face Hub lists a sha256 for each file in large-file storage and git's own sha1 of a blob
for each other one, so every file of a Hub repository can be checked. A plain web server lists
nothing: then the size is all there is, and what the file's own format can tell.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Integrity = Literal["sha256", "git-sha1", "structural only", "by name and format"]
BY_NAME: Final = "by name and format"
"""Of what was here already and was compared with nothing that its owners publish."""

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a file before it is fetched.

    Attributes:
        num_bytes: Its size; None if unknown.
        sha256: Of its content, in hexadecimal digits; None if unknown.
        git_sha1: Of the git blob of its content (sha1 of "blob SIZE\\0" and the content).
    """

    num_bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def is_hashed(self) -> bool:
        """Whether the content can be told from any other content."""
        return self.sha256 is not None or (self.git_sha1 is not None and self.num_bytes is not None)

    @property
    def integrity(self) -> Integrity:
        """How far a file that was checked against this can be trusted."""
        if self.sha256 is not None:
            return "sha256"
        return "git-sha1" if self.is_hashed else "structural only"


class Digest:
    """The running digests of a file's content.

    Args:
        expected: Decides whether git's digest is needed beside sha256.
    """

    def __init__(self, expected: Expected) -> None:
        self.num_bytes = 0
        self._expected = expected
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(usedforsecurity=False)
        self._git.update(b"blob %d\0" % (expected.num_bytes or 0))
        self._has_git = expected.sha256 is None and expected.git_sha1 is not None

    def update(self, block: bytes) -> None:
        """Take in the next bytes of the content."""
        self.num_bytes += len(block)
        self._sha256.update(block)
        if self._has_git:
            self._git.update(block)

    @property
    def sha256(self) -> str:
        """Of what was taken in so far, in hexadecimal digits."""
        return self._sha256.hexdigest()

    def problem(self) -> str | None:
        """How what was taken in differs from what was expected; None if it does not."""
        wanted = self._expected
        if wanted.num_bytes is not None and self.num_bytes != wanted.num_bytes:
            return f"it has {self.num_bytes} bytes, not {wanted.num_bytes}"
        if wanted.sha256 is not None and self.sha256 != wanted.sha256:
            return f"its sha256 is {self.sha256}, not {wanted.sha256}"
        if self._has_git and wanted.is_hashed and self._git.hexdigest() != wanted.git_sha1:
            return f"its git sha1 is {self._git.hexdigest()}, not {wanted.git_sha1}"
        return None


def digest_file(path: Path, expected: Expected, num_bytes: int | None = None) -> Digest:
    """The digest of a file's first `num_bytes` bytes; of all of it without."""
    digest = Digest(expected)
    with path.open("rb") as stream:
        while num_bytes is None or digest.num_bytes < num_bytes:
            left = _BLOCK_BYTES if num_bytes is None else num_bytes - digest.num_bytes
            block = stream.read(min(_BLOCK_BYTES, left))
            if not block:
                break
            digest.update(block)
    return digest
