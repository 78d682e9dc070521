"""One HTTP connection pool as this project uses it: no compression, no token for strangers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from vtk.errors import NetworkError

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
MAX_REDIRECTS = 10


class TokenFor(AuthBase):
    """Sends a token to one server only, and only where nobody can listen.

    requests drops the header when a redirect leads to another host.

    Args:
        origin: The server, for instance "https://huggingface.co".
        token: What it knows the user by; None for nobody.
    """

    def __init__(self, origin: str, token: str | None) -> None:
        self._origin, self._token = _origin_of(origin), token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to a request that may carry it."""
        url = urlsplit(request.url or "")
        is_private = url.scheme == "https" or url.hostname in LOOPBACK
        if self._token and is_private and _origin_of(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(slots=True)
class Contact:
    """Whether any server has answered one download yet; its threads share it.

    Attributes:
        has_answered: Whether one has.
        since_s: When one was asked first, by the monotonic clock.
    """

    has_answered: bool = False
    since_s: float | None = None

    def waited_s(self) -> float:
        """Seconds since one was asked first."""
        return 0.0 if self.since_s is None else time.monotonic() - self.since_s


class Session:
    """Requests to servers of files.

    Args:
        auth: Who may see which token.
        connect_s: Seconds for a connection to be made.
        stall_s: Seconds without a byte.
        contact: Told of the first answer; until then a connection gets a third of the time, because
            a name may have many addresses and each is tried.
    """

    def __init__(
        self, auth: TokenFor, connect_s: float, stall_s: float, contact: Contact | None = None
    ) -> None:
        self.contact = contact or Contact()
        self._session = requests.Session()
        self._session.auth = auth
        self._session.max_redirects = MAX_REDIRECTS
        self._session.headers.update({"User-Agent": "vtk", "Accept-Encoding": "identity"})
        self._connect_s, self._stall_s = connect_s, stall_s

    @contextmanager
    def get(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """Ask for a file; the body is read by the caller.

        Raises:
            requests.RequestException: The server cannot be reached.
            NetworkError: A redirect leads from https to http.
        """
        with self._session.get(
            url,
            headers=headers,
            stream=True,
            timeout=self._timeout(),
            hooks={"response": _refuse_downgrade},
        ) as response:
            self.contact.has_answered = True
            yield response

    def head(self, url: str) -> requests.Response:
        """Ask what a file is like.

        Raises:
            requests.RequestException: The server cannot be reached.
        """
        answer = self._session.head(url, allow_redirects=True, timeout=self._timeout())
        self.contact.has_answered = True
        return answer

    def _timeout(self) -> tuple[float, float]:
        if self.contact.since_s is None:
            self.contact.since_s = time.monotonic()
        connect_s = self._connect_s if self.contact.has_answered else self._connect_s / 3
        return connect_s, self._stall_s

    def close(self) -> None:
        """Close its connections."""
        self._session.close()


def _refuse_downgrade(response: requests.Response, *_: Any, **__: Any) -> None:
    target = response.headers.get("Location", "")
    is_secret = response.is_redirect and response.url.startswith("https:")
    if is_secret and target.lower().startswith("http:"):
        raise NetworkError(
            f"{response.url} redirects from https to http, where anybody can change the file",
            "Name another server with --mirror.",
        )


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port
