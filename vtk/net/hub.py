"""What a repository of the Hugging Face Hub holds, and where its files are.

The listing comes from the Hub's own client; the files do not, because it keeps nothing of a broken
download for the next process and compares sizes only.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from vtk.errors import AccessError, DataError, NetworkError
from vtk.net.content import Expected
from vtk.net.patience import Patience, parse_retry_after

RepoKind = Literal["dataset", "model"]
DEFAULT_ENDPOINT = "https://huggingface.co"
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit.

    Attributes:
        revision: The commit's sha.
        files: What is known of each file, by its path.
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


def repository_page(endpoint: str, kind: RepoKind, repo: str) -> str:
    """The page on which a person can agree to a repository's terms."""
    return f"{endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}"


def mend_access(page: str) -> str:
    """What a user does who is refused."""
    return (
        f"Open {page} in a browser, log in and agree to the terms; then make a token at "
        f"{DEFAULT_ENDPOINT}/settings/tokens and set HF_TOKEN (or: hf auth login)."
    )


def list_repository(
    kind: RepoKind,
    repo: str,
    revision: str,
    *,
    endpoint: str,
    token: str | None,
    patience: Patience,
    cancelled: threading.Event,
    on_note: Callable[[str], None],
) -> Listing:
    """Ask the Hub what a repository holds.

    Args:
        kind: Whether it is a data set or a model.
        repo: OWNER/NAME.
        revision: A branch or a commit.
        endpoint: The Hub.
        token: The user's; None for nobody.
        patience: When to try again and when to give up.
        cancelled: Set by whoever calls it off.
        on_note: Told why it takes longer.

    Raises:
        AccessError: The repository wants a login or an agreement.
        DataError: There is no such repository or revision.
        NetworkError: The Hub cannot be reached.
    """
    import random

    from huggingface_hub import HfApi

    api, num_failures = HfApi(endpoint=endpoint, token=token or False), 0
    while True:
        try:
            found = api.repo_info(
                repo, revision=revision, repo_type=kind, files_metadata=True, timeout=_TIMEOUT_S
            )
            return _listing(found)
        except Exception as error:  # noqa: BLE001 - the client's own HTTP library is not ours to name
            why, asked_s = _judge(error, repository_page(endpoint, kind, repo))
            fault = error
        num_failures += 1
        if num_failures > patience.num_retries:
            raise NetworkError(
                f"{endpoint} cannot be asked for {repo}: {why}, {num_failures} times in a row",
                "Check the network and proxy, or name another server with --mirror or HF_ENDPOINT.",
            ) from fault
        pause_s = patience.pause_s(num_failures, asked_s, random.Random())
        on_note(f"{why}; trying again in {pause_s:.0f} s")
        if cancelled.wait(pause_s):
            raise NetworkError(f"the listing of {repo} was called off")


def _judge(error: Exception, page: str) -> tuple[str, float | None]:
    """Why the Hub gave no listing, and how long it asks to wait; raises what does not pass."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, OfflineModeIsEnabled):
        raise NetworkError(
            "offline mode is on (HF_HUB_OFFLINE)", "Unset HF_HUB_OFFLINE to download."
        ) from error
    if isinstance(error, GatedRepoError):
        raise AccessError(f"{page} wants an agreement to its terms", mend_access(page)) from error
    if isinstance(error, RevisionNotFoundError):
        raise DataError(f"{page} no longer has this revision", "Add --update.") from error
    if isinstance(error, RepositoryNotFoundError):
        raise AccessError(f"{page} does not exist, or wants a login", mend_access(page)) from error
    if isinstance(error, HfHubHTTPError):
        return _judge_status(error, page)
    if isinstance(error, OSError | RuntimeError | ValueError) or _is_transport(error):
        return f"{urlsplit(page).hostname} cannot be reached ({type(error).__name__})", None
    raise error


def _judge_status(error: Any, page: str) -> tuple[str, float | None]:
    status = error.response.status_code
    if status in (401, 403, 404):  # the Hub says 404 for what the user may not see
        raise AccessError(
            f"{page} does not exist, or wants a login ({status})", mend_access(page)
        ) from error
    if status in (408, 425, 429) or status >= 500:
        wait_s = parse_retry_after(error.response.headers.get("Retry-After"))
        return f"the server answers {status}", wait_s
    raise NetworkError(f"{page}: the server answers {status}") from error


def _is_transport(error: Exception) -> bool:
    """Whether the client's HTTP library raised it: httpx in one major version, another in next."""
    return type(error).__module__.split(".")[0].startswith("httpx")


def _listing(found: Any) -> Listing:
    files = {}
    for sibling in found.siblings or []:
        if sibling.lfs is not None:
            files[sibling.rfilename] = Expected(sibling.lfs.size, sha256=sibling.lfs.sha256)
        else:
            files[sibling.rfilename] = Expected(sibling.size, git_sha1=sibling.blob_id)
    if not found.sha or not files:
        raise DataError("the listing is empty", "Check --mirror and HF_ENDPOINT.")
    return Listing(found.sha, files)
