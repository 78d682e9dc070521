"""One question at a time to a model behind an OpenAI-compatible chat endpoint, with patience.

The endpoint belongs to somebody else: a reply is bounded in size and time, a redirect is not
followed, and the key goes to that one server over https or to this machine, and into no message.
"""

import json
import random
import threading
import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from vtk.errors import AccessError, NetworkError
from vtk.format import format_duration_s, visible_text
from vtk.net.faults import TryLater, network_fault
from vtk.net.patience import LONGEST_RETRY_AFTER_S, Patience, parse_retry_after
from vtk.net.reply import BUSY
from vtk.net.session import TokenFor
from vtk.net.transfer import Cancelled

CHAT_PATIENCE: Final = Patience(
    num_retries=5, first_pause_s=0.25, longest_pause_s=30.0, stall_s=120.0
)
MAX_REPLY_BYTES: Final = 1 << 20
_NO_ENDPOINT: Final = {301, 302, 303, 307, 308, 404, 405, 410}
_PATH: Final = "/chat/completions"
_MAX_WHY_CHARS: Final = 200


class Unanswered(Exception):
    """One question got no reply; another may."""


class Chat:
    """Puts questions to one model; its threads may share it.

    Args:
        url: The API's address, with or without /chat/completions.
        model: As the server calls it.
        key: What the server knows the user by; None for nobody.
        max_tokens: Longest reply.
        cancelled: Set by whoever calls it off.
        patience: When to ask again and when to give up.
        draw: For the jitter of the pauses.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None,
        max_tokens: int,
        cancelled: threading.Event,
        patience: Patience = CHAT_PATIENCE,
        draw: random.Random | None = None,
    ) -> None:
        self._url = url.rstrip("/").removesuffix(_PATH) + _PATH
        self._model, self._key, self._max_tokens = model, key, max_tokens
        self._cancelled, self._patience = cancelled, patience
        self._draw = draw or random.Random()
        self._threads = threading.local()
        self._has_answered = False

    @property
    def host(self) -> str:
        """The server, for messages."""
        return urlsplit(self._url).netloc.rpartition("@")[2]

    def ask(self, system: str, words: str) -> str:
        """The model's reply at temperature 0.

        Raises:
            Unanswered: This question got none: the server refuses it, or goes on failing.
            AccessError: The server wants a key, or another one.
            NetworkError: The server cannot be reached, or there is no such endpoint or model.
            Cancelled: The work was called off.
        """
        num_failures = 0
        while True:
            try:
                return self._without_key(self._attempt(system, words))
            except TryLater as failure:
                num_failures += 1
                self._pause(failure, num_failures)

    def _pause(self, failure: TryLater, num_failures: int) -> None:
        """Wait before the next attempt, or give up."""
        asked_s = failure.retry_after_s
        if asked_s is not None and asked_s > LONGEST_RETRY_AFTER_S:
            raise Unanswered(f"{failure}, and asks to wait {format_duration_s(asked_s)}")
        if num_failures > self._patience.num_retries:
            if not self._has_answered:
                raise NetworkError(
                    f"{self.host} cannot be reached: {failure}",
                    "Is the server running, and --judge-url right? Behind a proxy set HTTPS_PROXY.",
                ) from failure
            raise Unanswered(str(failure)) from failure
        if self._cancelled.wait(self._patience.pause_s(num_failures, asked_s, self._draw)):
            raise Cancelled

    def _attempt(self, system: str, words: str) -> str:
        body: dict[str, Any] = {
            "model": self._model,
            "temperature": 0,
            "max_tokens": self._max_tokens,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": words},
            ],
        }
        try:
            with self._session.post(
                self._url,
                json=body,
                stream=True,
                allow_redirects=False,
                timeout=(self._patience.connect_s, self._patience.stall_s),
            ) as response:
                self._has_answered = True
                content = self._read(response)
        except requests.RequestException as error:
            raise network_fault(error, self.host) from error
        if response.status_code != 200:
            raise self._refusal(response, content)
        return _text_of(content)

    @property
    def _session(self) -> requests.Session:
        """This thread's connections."""
        found: requests.Session | None = getattr(self._threads, "session", None)
        if found is None:
            found = requests.Session()
            found.auth = TokenFor(self._url, self._key)
            found.headers.update({"User-Agent": "vtk", "Accept-Encoding": "identity"})
            self._threads.session = found
        return found

    def _read(self, response: requests.Response) -> bytes:
        """The body, if it comes in time and is no longer than a reply can be."""
        content, started_s = b"", time.monotonic()
        for part in response.iter_content(8192):
            content += part
            if len(content) > MAX_REPLY_BYTES:
                raise Unanswered(f"its reply is longer than {MAX_REPLY_BYTES} bytes")
            if time.monotonic() - started_s > self._patience.stall_s:
                raise TryLater("its reply does not end")
        return content

    def _refusal(self, response: requests.Response, content: bytes) -> Exception:
        """What a status other than 200 means."""
        status = response.status_code
        why = f"it answers {status}{self._said(content)}"
        if status in BUSY:
            return TryLater(why, parse_retry_after(response.headers.get("Retry-After")))
        if status in (401, 403):
            return AccessError(
                f"{self.host} refuses: {why}",
                "Put the judge's key into VTK_JUDGE_KEY; it is sent over https or to this machine "
                "only.",
            )
        if status in _NO_ENDPOINT:
            return NetworkError(
                f"{self.host} has no such endpoint or model: {why}",
                "Check --judge-url (as in https://HOST/v1) and --judge-model.",
            )
        return Unanswered(why)

    def _said(self, content: bytes) -> str:
        """The server's own words about a refusal, made harmless."""
        try:
            said = json.loads(content)["error"]["message"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""
        return f" ({visible_text(self._without_key(str(said)), max_chars=_MAX_WHY_CHARS)})"

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _text_of(content: bytes) -> str:
    """The reply in a chat completion.

    Raises:
        TryLater: It is none.
        Unanswered: It was cut before its end.
    """
    try:
        choice: Any = json.loads(content)["choices"][0]
        text, is_cut = choice["message"]["content"], choice.get("finish_reason") == "length"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise TryLater("it sends no chat completion") from error
    if is_cut:
        raise Unanswered("its reply was cut at the length bound")
    if not isinstance(text, str) or not text.strip():
        raise TryLater("it sends an empty reply")
    return text
