"""S7: who is let in where the dashboard is served, and what a visitor can do to a run."""

import asyncio
import json
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.reliability.figures import Figures
from tests.tui.made_runs import plain_steps, write_run
from tui.web.door import new_token

_PATHS = ("/", "/ws", "/static/js/textual.js", "/page.js", "/download/x")
_KEYS_OF_CONTROL = "kpgsvb"

PATIENCE_S = 60.0
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?<>=]*[ -/$]*[@-~]|\][^\x07]*\x07)")


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    runs_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def root(self) -> str:
        """The server without the token."""
        return "/".join(self.url.split("/")[:3])


def start(runs_dir: Path, *more: str) -> Served:
    """`vtk dashboard --serve` on a free port, once it says where."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "vtk", "dashboard", "--serve", "--json", "--port", "0",
            "--runs-dir", str(runs_dir), *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = b""
    while not said.endswith(b"}\n"):
        line = process.stdout.readline()
        assert line, "it ended before it served"
        said += line
    return Served(json.loads(said)["url"], runs_dir, process)


def end(served: Served) -> None:
    """Ask it to stop, and see that it does."""
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(PATIENCE_S) == 0
    assert served.process.stdout is not None
    served.process.stdout.close()


class Visitor:
    """One page's terminal."""

    def __init__(self, websocket: Any) -> None:
        self.websocket, self.seen, self.told = websocket, "", list[Any]()

    async def press(self, key: str) -> None:
        await self.websocket.send_json(["stdin", key])

    async def walk(self, *ways: tuple[str, str]) -> None:
        """Press each key, and go on once its word was there."""
        for key, word in ways:
            await self.press(key)
            await self.until(word)

    async def until(self, word: str) -> None:
        """Take in what is sent until a word was; words are broken by what places them."""
        async with asyncio.timeout(PATIENCE_S):
            while word not in _SEQUENCE.sub("", self.seen):
                message = await self.websocket.receive()
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), self.seen
                if message.type == aiohttp.WSMsgType.TEXT:
                    self.told.append(json.loads(message.data))
                    self.seen += f" TOLD {self.told[-1][0]} "
                else:
                    self.seen += message.data.decode()


@asynccontextmanager
async def visit(served: Served) -> AsyncIterator[tuple[Any, Visitor]]:
    """A page on a screen of 140 by 40, and the browser's other requests."""
    async with aiohttp.ClientSession() as session:
        address = f"{served.url}ws?width=140&height=40"
        async with session.ws_connect(address, headers={"Origin": served.root}) as websocket:
            yield session, Visitor(websocket)


async def status_of(session: Any, address: str, **headers: str) -> int:
    """What the server answers a request for a page or for a websocket."""
    if not address.split("?")[0].endswith("/ws"):
        async with session.get(address, headers=headers) as answer:
            return int(answer.status)
    try:
        async with session.ws_connect(address, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return int(error.status)


def own_address() -> str | None:
    """This machine's address in a network, if it is in one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def nothing_opens_without_the_token(num_guesses: int, folder: Path, seed: int = 0) -> Figures:
    """Wrong tokens, other sites and other machines at a served run, and keys that would change it.

    Args:
        num_guesses: Wrong tokens.
        folder: For the run.
        seed: Of the guesses.
    """
    result = Figures("S7", "A served dashboard lets in who has the token, and to look only")
    run = write_run(folder, "one", plain_steps(3))
    served = start(folder)
    asyncio.run(_knock(served, random.Random(seed), num_guesses, result))
    before = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    asyncio.run(_press_all(served))
    after = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    result.check(after == before, "a visitor's keys changed the run")
    end(served)
    _knock_from_a_network(folder, result)
    return result


async def _knock(served: Served, draw: random.Random, num_guesses: int, result: Figures) -> None:
    port, own = served.root.rpartition(":")[2], {"Origin": served.root}
    token = served.url.split("/")[3]
    origins = ("http://evil.example", "null", f"http://localhost.evil.example:{port}", "")
    named = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
    let_in, num_asked = 0, 0
    async with aiohttp.ClientSession() as session:
        for address in (served.url, f"{served.url}ws"):
            status = await status_of(session, address, **own)
            result.check(status in (200, 101), f"the token's owner gets {status} at {address}")
        guesses = [near_miss(token, draw) for _ in range(num_guesses)]
        knocks = [(f"{served.root}/{guess}{path}", own) for guess in guesses for path in _PATHS]
        knocks += [(served.root + path, own) for path in _PATHS]
        knocks += [(f"{served.url}ws", {"Origin": origin}) for origin in origins]
        knocks += [(f"{served.url}ws", {}), (f"{served.url}ws", named), (served.url, named)]
        for address, headers in knocks:
            status, num_asked = await status_of(session, address, **headers), num_asked + 1
            if status not in (403, 404):
                let_in += 1
                result.check(False, f"{address} with {headers} gets {status}")
    result.count = f"{num_asked} requests with {num_guesses} wrong tokens, 6 foreign sites"
    result.figures = [f"{let_in} let in", "all keys of control pressed: the run stays as it is"]


def near_miss(token: str, draw: random.Random) -> str:
    """A wrong token: new, cut, longer, or with one letter changed."""
    place = draw.randrange(len(token))
    other = "A" if token[place] != "A" else "B"
    changed = token[:place] + other + token[place + 1 :]
    guesses: list[Callable[[], str]] = [
        new_token, lambda: token[:place], lambda: token + other, lambda: changed,
    ]  # fmt: skip
    return draw.choice(guesses)()


async def _press_all(served: Served) -> None:
    async with visit(served) as (_, page):
        await page.until("step 3")
        for key in _KEYS_OF_CONTROL:
            page.seen = ""
            await page.press("c")
            await page.until("opened with --read-only")
            await page.press(key)
            await page.press("y")
            await page.press("\x1b")


def _knock_from_a_network(folder: Path, result: Figures) -> None:
    """The door of a server that listens to other machines too."""
    address = own_address()
    if address is None:
        result.figures.append("this machine is in no network: nobody knocked from one")
        return
    served = start(folder, "--host", "0.0.0.0")
    root = f"http://{address}:{served.root.rpartition(':')[2]}"
    token = served.url.split("/")[3]

    async def knock() -> tuple[int, int]:
        async with aiohttp.ClientSession() as session:
            return await status_of(session, f"{root}/"), await status_of(
                session, f"{root}/{token}/"
            )

    found = asyncio.run(knock())
    end(served)
    result.check(found == (403, 200), f"from the network without and with the token: {found}")
    result.figures.append(f"from the network: {found[0]} without the token, {found[1]} with it")
