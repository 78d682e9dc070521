"""The dashboard in a browser: each visitor's page drives a `vtk dashboard` process of its own.

textual-serve gives the page's script, the websocket and the process behind it; the door, the page
and the end of the server are ours, because it has no token, looks at no `Origin` and loads a font
from another server.
"""

import asyncio
import contextlib
import io
import ipaddress
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web
from textual_serve.server import Server
from typing_extensions import override

from tui.web.door import Door
from vtk.errors import ConfigError
from vtk.format import visible_text

MAX_VISITORS: Final = 8
_ENDING_S: Final = 5.0
_HERE: Final = Path(__file__).parent
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
}
_ELSEWHERE: Final = {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}
"""Addresses of nobody (RFC 5737, RFC 3849), by version of the protocol."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class DashboardServer:
    """Serves one command to whoever has the token.

    Attributes:
        command: A shell's line that starts the dashboard with Textual's driver for the web.
        door: Who may come in.
        say: Told in plain words what goes wrong behind a page.
    """

    command: str
    door: Door
    say: Callable[[str], None]
    _terminals: Server = field(init=False)
    _visits: set[asyncio.Task[object]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._terminals = Server(self.command)

    def application(self) -> web.Application:
        """Every path of the server, behind the door."""
        at, terminals = self.door.prefix, self._terminals
        application = web.Application(middlewares=[self._let_in])
        application.add_routes(
            [
                *(web.get(f"{at}/{name}", _file(path)) for name, path in _OUR_FILES.items()),
                web.get(f"{at}/ws", self._visit),
                web.get(f"{at}/download/{{key}}", terminals.handle_download),
                web.static(f"{at}/static", terminals.statics_path),
            ]
        )
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._end_visits)
        return application

    async def run(self, port: int, tell: Callable[[str], None]) -> None:
        """Serve until SIGINT or SIGTERM.

        Args:
            port: 0 takes a free one.
            tell: Given the address once it answers.

        Raises:
            ConfigError: The address cannot be had.
        """
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=_ENDING_S)
        await runner.setup()
        try:
            await _bound(runner, self.door.host, port)
            tell(self._address(runner))
            with contextlib.redirect_stdout(_Said(self.say)):  # textual-serve prints there
                await _until_signalled()
        finally:
            await runner.cleanup()

    def _address(self, runner: web.AppRunner) -> str:
        host, port = runner.addresses[0][:2]
        host = _one_of_all(host)
        named = f"[{host}]" if ":" in host else host
        return f"http://{named}:{port}{self.door.prefix}/"

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_websocket = request.path == f"{self.door.prefix}/ws"
        refusal = self.door.refusal(request.path, request.headers, is_websocket=is_websocket)
        if refusal is not None:
            return web.Response(status=403, text=f"Refused: {refusal}.\n")
        return await handler(request)

    async def _visit(self, request: web.Request) -> web.StreamResponse:
        """One page's terminal, for as long as the page is open."""
        task = asyncio.current_task()
        if not web.WebSocketResponse().can_prepare(request):
            return web.Response(status=400, text="This path is for the page's websocket.\n")
        if len(self._visits) >= MAX_VISITORS or task is None:
            return web.Response(status=503, text=f"Refused: {MAX_VISITORS} pages are open.\n")
        self._visits.add(task)
        try:
            return await self._terminals.handle_websocket(request)
        finally:
            self._visits.discard(task)

    async def _end_visits(self, _: web.Application) -> None:
        """Let each process leave as if its user had."""
        for task in self._visits:
            task.cancel()
        if self._visits:
            await asyncio.wait(self._visits, timeout=_ENDING_S)


_OUR_FILES: Final = {
    "": _HERE / "page.html",
    "page.css": _HERE / "page.css",
    "page.js": _HERE / "page.js",
}


def _file(path: Path) -> Handler:
    async def send(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    return send


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _bound(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise ConfigError(
            f"cannot serve on {visible_text(host, 100)} port {port}: {error.strerror or error}",
            "Give another --port (0 takes a free one), or an address of this machine as --host.",
        ) from error


def _one_of_all(host: str) -> str:
    """An address that other machines can open, where the server is bound to all of this one's.

    It is the one that packets to other networks leave from (none is sent); without any, the name.
    """
    address = ipaddress.ip_address(host)
    if not address.is_unspecified:
        return host
    family, elsewhere = _ELSEWHERE[address.version]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


async def _until_signalled() -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()


class _Logged(logging.Handler):
    """What a library logs, as one line of plain words."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._say(visible_text(record.getMessage(), 400))


class _Said(io.TextIOBase):
    """What a library prints, as lines of plain words."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    @override
    def write(self, text: str, /) -> int:
        for line in text.splitlines():
            self._say(visible_text(line, 400))
        return len(text)


def serve(
    command: str, host: str, port: int, tell: Callable[[str], None], say: Callable[[str], None]
) -> None:
    """Serve the dashboard until SIGINT or SIGTERM; see `DashboardServer`.

    Raises:
        ConfigError: The address cannot be had.
    """
    for name in ("aiohttp", "textual-serve"):
        logging.getLogger(name).addHandler(_Logged(say))
    asyncio.run(DashboardServer(command, Door(host), say).run(port, tell))
