"""What goes wrong on the way: what may pass is tried again, what does not is told at once."""

import time
from urllib.parse import urlsplit

import requests
import urllib3

from vtk.errors import AccessError, DataError, NetworkError
from vtk.format import format_duration_s
from vtk.net.patience import Patience
from vtk.net.reply import Reply


class TryLater(Exception):
    """A failure that may pass.

    Args:
        why: In words.
        retry_after_s: Seconds that the server asked to wait, None if it did not.
    """

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


def unreachable(url: str, why: str, after_s: float) -> NetworkError:
    """The error for a server that never answered, with what a user can do about it."""
    return NetworkError(
        f"{urlsplit(url).hostname or url} cannot be reached: {why}; "
        f"not one answer came in {format_duration_s(after_s)}",
        "Is this machine offline? Behind a proxy set HTTPS_PROXY; where the server is blocked "
        "name another with --mirror (models: HF_ENDPOINT); what you have already is adopted with "
        "vtk download NAME --from DIR. Then repeat the command.",
    )


class SpeedGuard:
    """Notices a server that sends so slowly that a new connection is the better chance.

    Args:
        patience: Says what is slow, and over which span.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience, self._num_bytes, self._since_s = patience, 0, time.monotonic()

    def count(self, num_bytes: int) -> None:
        """Take bytes in.

        Raises:
            TryLater: A span of `stall_s` had too few.
        """
        self._num_bytes += num_bytes
        span_s = time.monotonic() - self._since_s
        if span_s < self._patience.stall_s:
            return
        if self._num_bytes < self._patience.slowest_bytes_per_s * span_s:
            raise TryLater(f"only {self._num_bytes} bytes in {format_duration_s(span_s)}")
        self._num_bytes, self._since_s = 0, time.monotonic()


def raise_for(reply: Reply, url: str, mend_access: str) -> None:
    """Raise for an answer that brings nothing.

    Raises:
        TryLater: It may be better later.
        AccessError: The server refuses; `mend_access` is what the user has to do.
        DataError: It has no such file.
    """
    if reply.kind == "later":
        raise TryLater(reply.why, reply.retry_after_s)
    if reply.kind == "refused":
        raise AccessError(f"{url}: {reply.why}", mend_access or None)
    if reply.kind == "gone":
        raise DataError(
            f"{url} is not there: {reply.why}",
            "It may have moved, or be private: name another server with --mirror, or adopt a copy "
            f"that you have with --from DIR. {mend_access}".strip(),
        )


def network_fault(error: Exception, url: str) -> TryLater:
    """A fault of the connection as one that may pass.

    Raises:
        NetworkError: It does not pass by itself.
    """
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        raise NetworkError(
            f"{url}: the server's certificate is not trusted",
            "Check the clock; behind a company's proxy name its certificate in "
            "REQUESTS_CA_BUNDLE; or name another server with --mirror.",
        ) from error
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
        raise NetworkError(f"{url}: {text}", "Check --mirror and HF_ENDPOINT.") from error
    return TryLater(_plainly(error))


def _plainly(error: Exception) -> str:
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "the server redirects in a circle"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return "no bytes came for too long"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy cannot be reached"
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return "the encrypted connection broke"
    if isinstance(error, requests.exceptions.ConnectionError):
        is_name = "NameResolutionError" in str(error)
        return "its name cannot be looked up" if is_name else "it refuses or breaks the connection"
    return f"the connection broke ({type(error).__name__})"
