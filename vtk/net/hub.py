"""What a repository of the Hugging Face Hub holds, and where its files are.

The listing is the Hub's own API (huggingface.co/docs/hub/api), asked with the same patience as the
files are. The Hub's client would ask huggingface.co as well when another server was named, keeps
nothing of a broken download for the next process, and compares sizes only.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from vtk.errors import DataError
from vtk.net.content import Expected

RepoKind = Literal["dataset", "model"]
DEFAULT_ENDPOINT = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit.

    Attributes:
        revision: The commit's sha.
        files: What is known of each file, by its path; each has a size and a hash.
    """

    revision: str
    files: dict[str, Expected]


def hub_endpoint(mirror: str | None) -> str:
    """The Hub or what stands for it: `mirror`, else HF_ENDPOINT, else huggingface.co."""
    return (mirror or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def hub_token(mirror: str | None) -> str | None:
    """The user's token; None for a mirror, whose owner must not learn it."""
    if mirror is not None:
        return None
    from huggingface_hub import get_token

    return get_token()


def file_url(endpoint: str, kind: RepoKind, repo: str, revision: str, path: str) -> str:
    """Where a file of a repository can be fetched.

    Example:
        >>> file_url("https://huggingface.co", "dataset", "a/b", "main", "x y.zip")
        'https://huggingface.co/datasets/a/b/resolve/main/x%20y.zip'
    """
    prefix = "datasets/" if kind == "dataset" else ""
    return f"{endpoint}/{prefix}{repo}/resolve/{quote(revision, safe='')}/{quote(path)}"


def listing_url(endpoint: str, kind: RepoKind, repo: str, revision: str) -> str:
    """Where the listing of a repository at a branch or commit can be fetched.

    Example:
        >>> listing_url("https://huggingface.co", "model", "a/b", "main")
        'https://huggingface.co/api/models/a/b/revision/main?blobs=true'
    """
    return f"{endpoint}/api/{kind}s/{repo}/revision/{quote(revision, safe='')}?blobs=true"


def mend_access(page: str) -> str:
    """What a user does who is refused."""
    return (
        f"Open {page} in a browser, log in and agree to the terms; then make a token at "
        f"{DEFAULT_ENDPOINT}/settings/tokens and set HF_TOKEN (or: hf auth login)."
    )


def read_listing(path: Path) -> Listing:
    """Read a listing as the Hub sends it.

    Raises:
        DataError: It is none, or a file in it has no size or no hash.
    """
    try:
        found = json.loads(path.read_bytes())
        files = {entry["rfilename"]: _expected(entry) for entry in found["siblings"]}
        if _COMMIT.fullmatch(found["sha"]) is None or not files:
            raise ValueError("it names no commit or no files")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"the server's listing cannot be used: {error}", "Check --mirror and HF_ENDPOINT."
        ) from error
    return Listing(found["sha"], files)


def _expected(entry: dict[str, Any]) -> Expected:
    """A file's size and hash: sha256 of large files, git's sha1 of a blob of the others."""
    large = entry.get("lfs")
    if large is not None:
        return Expected(_size(large), sha256=_digits(_SHA256, large["sha256"]))
    return Expected(_size(entry), git_sha1=_digits(_COMMIT, entry["blobId"]))


def _size(entry: dict[str, Any]) -> int:
    size = entry["size"]
    if not isinstance(size, int) or size < 0:
        raise ValueError(f"a file has the size {size!r}")
    return size


def _digits(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ValueError(f"a file has the hash {value!r}")
    return value
