"""Who may come in: the rules for every request to a served dashboard; pure, so they are tested so.

A page of another site can make a browser send requests here, open a websocket here, and point a
name of its own at this machine. So every path begins with a token that only the printed address
holds, and a request that names its page (`Origin`) must name this one; a websocket has to.
"""

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_TOKEN_BYTES: Final = 24
_LOCAL_NAMES: Final = ("localhost", "localhost.")


def new_token() -> str:
    """A token that cannot be guessed: 192 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what is bound to `host`."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # another name: it may be anybody's
        return False


@dataclass(frozen=True, slots=True)
class Door:
    """Lets in who has the token.

    Attributes:
        host: What the server is bound to.
        token: First part of every path.
    """

    host: str
    token: str = field(default_factory=new_token, repr=False)

    @property
    def prefix(self) -> str:
        """What every path begins with."""
        return f"/{self.token}"

    def refusal(
        self, path: str, headers: Mapping[str, str], *, is_websocket: bool = False
    ) -> str | None:
        """Why a request is refused; None lets it in.

        Args:
            path: Of the request, decoded.
            headers: Of the request; names in any case.
            is_websocket: It asks for a websocket.
        """
        first = path.split("/")[1] if path.startswith("/") else ""
        if not secrets.compare_digest(first.encode(), self.token.encode()):
            return "the token is missing or wrong: open the address that vtk dashboard printed"
        host = headers.get("Host", "")
        if is_loopback(self.host) and not is_loopback(_name_of(host)):
            return "this server answers to localhost only"
        origin = headers.get("Origin")
        if origin is None and is_websocket:
            return "a websocket has to say which page opens it (Origin)"
        if origin is not None and _place_of(origin) != host.lower():
            return "a page of another site may not ask for anything here"
        return None


def _place_of(origin: str) -> str | None:
    """Name and port of an `Origin` header; None if it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name_of(host: str) -> str:
    """The name in a `Host` header, without its port; empty if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
