"""The served dashboard over real sockets: who is let in, and what a visitor can do."""

import asyncio
import os
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.conftest import RunPython
from tests.tui.conftest import NewRun, write_steps
from tui.web.door import Door, is_loopback, new_token
from vtk.runs.control import pending
from vtk.runs.store import create_run
from vtk.runs.writer import EventWriter

pytest.importorskip("textual_serve", reason="the extra `serve` is not installed")
aiohttp = pytest.importorskip("aiohttp")

from tests.reliability.serving import (  # noqa: E402 - it needs both
    PATIENCE_S,
    Served,
    end,
    own_address,
    start,
    status_of,
    visit,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A live run, served as it is by default."""
    runs_dir = tmp_path_factory.mktemp("served")
    with EventWriter(create_run(runs_dir, "cdpo", "mine", argv=["vtk"], config={})) as writer:
        write_steps(writer, 1, 3)
        found = start(runs_dir)
        yield found
        end(found)


def test_only_the_token_opens_anything_and_no_other_site_gets_in(served: Served) -> None:
    host, wrong = served.root.removeprefix("http://"), served.root + "/" + new_token()
    port = host.rpartition(":")[2]

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            own = {"Origin": served.root}
            assert await status_of(session, served.url) == 200
            assert await status_of(session, f"{served.url}static/js/textual.js", **own) == 200
            assert await status_of(session, f"{served.url}ws", **own) == 101
            for base in (served.root, wrong):
                for path in ("/", "/ws", "/static/js/textual.js", "/page.js", "/download/x"):
                    assert await status_of(session, base + path, **own) == 403, path
            for origin in ("http://evil.example", "null", f"http://localhost.evil.example:{port}"):
                assert await status_of(session, f"{served.url}ws", Origin=origin) == 403
                assert await status_of(session, served.url, Origin=origin) == 403
            assert await status_of(session, f"{served.url}ws") == 403, "no Origin at all"
            named = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
            assert await status_of(session, f"{served.url}ws", **named) == 403, "a name that moved"

    asyncio.run(scenario())


def test_pages_ask_no_other_server_and_give_their_address_to_none(served: Served) -> None:
    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            for name in ("", "page.css", "page.js"):
                async with session.get(served.url + name) as answer:
                    assert "://" not in await answer.text(), name
                    assert answer.headers["Referrer-Policy"] == "no-referrer"
                    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    asyncio.run(scenario())


def test_a_visitor_looks_takes_a_view_along_and_asks_nothing_of_the_run(
    served: Served,
) -> None:
    before = {path for path in served.runs_dir.rglob("*") if path.is_file()}

    async def scenario() -> None:
        async with visit(served) as (session, page):
            await page.until("step 3")
            await page.walk(("c", "opened with --read-only"))
            await page.press("k")
            await page.press("y")
            await page.walk(("e", "TOLD deliver_file_start"))
            async with session.get(f"{served.url}download/{page.told[-1][1]}") as answer:
                names = zipfile.ZipFile(BytesIO(await answer.read())).namelist()
            assert {name.rpartition(".")[2] for name in names} >= {"svg", "txt", "csv"}

    asyncio.run(scenario())
    assert {path for path in served.runs_dir.rglob("*") if path.is_file()} == before
    assert before


@pytest.mark.slow
def test_control_is_there_for_who_asks_for_it(runs_dir: Path, new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 3)
        served = start(runs_dir, "--control")

        async def scenario() -> None:
            async with visit(served) as (_, page):
                await page.until("step 3")
                await page.walk(
                    ("c", "Checkpoint now"), ("k", "saves a checkpoint"), ("y", "not yet done")
                )

        asyncio.run(scenario())
        end(served)
    assert [request.action for request in pending(run)] == ["checkpoint"]


@pytest.mark.slow
def test_a_server_that_is_killed_leaves_no_process(runs_dir: Path) -> None:
    served = start(runs_dir, "--demo")

    async def scenario() -> int:
        async with visit(served) as (_, page):
            await page.until("replay")
            child = child_of(served.process.pid)
            served.process.kill()
            return child

    child = asyncio.run(scenario())
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    served.process.wait()
    assert served.process.stdout is not None
    served.process.stdout.close()


def child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def test_other_machines_need_the_token_too(runs_dir: Path) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine is in no network")
    served = start(runs_dir, "--demo", "--host", "0.0.0.0")
    port = served.root.rpartition(":")[2]
    root, token = f"http://{address}:{port}", served.url.split("/")[3]
    assert served.root == root, "what is printed can be opened there"

    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            assert await status_of(session, root + "/") == 403
            assert await status_of(session, f"{root}/{token}/") == 200
            assert await status_of(session, f"{root}/{token}/ws", Origin=root) == 101
            assert (
                await status_of(session, f"{root}/{token}/ws", Origin=f"http://0.0.0.0:{port}")
                == 403
            )

    asyncio.run(scenario())
    end(served)


def test_a_port_that_is_taken_is_named_with_the_way_out(
    served: Served, run_python: RunPython, repository: Path
) -> None:
    port = served.root.rpartition(":")[2]
    done = run_python(
        "-m", "vtk", "dashboard", "--serve", "--port", port, env={"PYTHONPATH": str(repository)}
    )
    assert done.returncode == 2
    assert f"cannot serve on 127.0.0.1 port {port}" in done.stderr
    assert "--port" in done.stderr


def test_without_the_extra_the_mend_is_named(run_python: RunPython, repository: Path) -> None:
    code = (
        "import sys; sys.modules['textual_serve'] = None; from vtk.cli.app import main;"
        "sys.exit(main(['dashboard', '--serve', '--demo']))"
    )
    done = run_python("-c", code, env={"PYTHONPATH": str(repository)})
    assert done.returncode == 3
    assert "textual-serve" in done.stderr
    assert "pip install" in done.stderr


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True),
        ("[::1]", True), ("0.0.0.0", False), ("::", False), ("localhost.example", False),
        ("", False), ("192.0.2.7", False),
    ],
)  # fmt: skip
def test_loopback_is_known(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]:9", "[", "\x00"])
def test_a_malformed_origin_is_refused(origin: str) -> None:
    door = Door("localhost")
    headers = {"Host": "localhost:9", "Origin": origin}
    refusal = door.refusal(f"/{door.token}/ws", headers, is_websocket=True)
    assert refusal == "a page of another site may not ask for anything here"


def test_a_token_is_long_new_and_not_in_what_is_printed_of_a_door() -> None:
    one, other = Door("::1"), Door("::1")
    assert one.token != other.token
    assert len(one.token) >= 32
    assert one.token not in repr(one)
    assert one.refusal(f"/{one.token[:-1]}/", {"Host": "[::1]:9"}) is not None
    assert one.refusal(f"/{one.token}/ws", {"Host": "[::1]:9"}, is_websocket=True) is not None
    headers = {"Host": "[::1]:9", "Origin": "http://[::1]:9"}
    assert one.refusal(f"/{one.token}/ws", headers, is_websocket=True) is None
    assert os.sep not in one.token
