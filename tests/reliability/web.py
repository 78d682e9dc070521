"""A real web server on loopback that serves files as well as they can be served, or misbehaves.

A trick decides what happens to one request. Every request is noted, with what it asked for.
"""

import gzip
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class Request:
    """One request as it came.

    Attributes:
        number: How many came before it.
        method: GET or HEAD.
        path: Without the query.
        headers: By lower-case name.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def start(self) -> int:
        """The byte that a Range header asks from; 0 without one."""
        asked = self.headers.get("range", "bytes=0-")
        return int(asked.removeprefix("bytes=").split("-")[0])


@dataclass(frozen=True)
class Trick:
    """How one request is answered; without any field, as it should be.

    Attributes:
        status: Another status, with `headers` and no file.
        headers: Added, or put in place of the usual ones; None takes one away.
        cut_at: Bytes of the body after which the connection breaks.
        is_reset: It breaks with a reset, not an end.
        stall_at: Bytes of the body after which nothing more comes.
        bytes_per_s: No faster than this.
        ignore_range: The whole file, with status 200.
        body: Other content.
        is_chunked: Without a length.
        is_gzipped: Compressed.
        cut_s: Seconds of silence before anything.
    """

    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    cut_at: int | None = None
    is_reset: bool = False
    stall_at: int | None = None
    bytes_per_s: float | None = None
    ignore_range: bool = False
    body: bytes | None = None
    is_chunked: bool = False
    is_gzipped: bool = False
    cut_s: float = 0.0


HONEST = Trick()


@dataclass
class Site:
    """What a server serves.

    Attributes:
        files: Content by path.
        trick: Decides about each request.
        etags: Other validators than the content's hash, by path; empty for none.
        requests: What was asked, in order.
        num_sent: Bytes of bodies that left.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    trick: Callable[[Request], Trick] = lambda _request: HONEST
    etags: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    num_sent: int = 0
    url: str = ""
    is_closing: threading.Event = field(default_factory=threading.Event)

    def gets(self, ending: str = "") -> list[Request]:
        """The GET requests for paths that end so."""
        found = [each for each in self.requests if each.method == "GET"]
        return [each for each in found if each.path.endswith(ending)]

    def add_repository(
        self,
        kind: str,
        repo: str,
        files: Mapping[str, bytes],
        revision: str = "c0ffee" * 6 + "0000",
        lfs: tuple[str, ...] = (".zip", ".mp4", ".parquet", ".safetensors"),
    ) -> str:
        """Serve a repository as the Hugging Face Hub does; its revision."""
        prefix = "/datasets" if kind == "dataset" else ""
        siblings = []
        for path, content in files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": blob}
            if path.endswith(lfs):
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
            siblings.append(entry)
            self.files[f"{prefix}/{repo}/resolve/{revision}/{path}"] = content
        listing = json.dumps({"id": repo, "sha": revision, "siblings": siblings}).encode()
        for name in ("main", revision):
            self.files[f"/api/{kind}s/{repo}/revision/{name}"] = listing
        return revision


@contextmanager
def serving(site: Site) -> Iterator[str]:
    """Serve a site on loopback within the block; its address."""
    server = _Server(("127.0.0.1", 0), _handler_for(site))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    site.is_closing.clear()
    try:
        yield site.url
    finally:
        site.is_closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed leaves a broken connection, which is what is being tested."""


def _handler_for(site: Site) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(_Handler):
        def answer(self, method: str) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                request = Request(
                    len(site.requests), method, unquote(urlsplit(self.path).path), headers
                )
                site.requests.append(request)
            self.reply(site, request, site.trick(request))

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer("GET")

    def do_HEAD(self) -> None:
        self.answer("HEAD")

    def answer(self, method: str) -> None:
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the site notes its requests."""

    def reply(self, site: Site, request: Request, trick: Trick) -> None:
        site.is_closing.wait(trick.cut_s)
        content = site.files.get(request.path) if trick.body is None else trick.body
        if trick.status is not None or content is None:
            self._plain(404 if trick.status is None else trick.status, trick.headers)
            return
        tag = site.etags.get(request.path, f'"{hashlib.md5(content).hexdigest()}"')
        body, status, headers = content, 200, {"ETag": tag, "Content-Type": "application/zip"}
        if "range" in request.headers and not trick.ignore_range:
            body, status, more = _part(content, request, tag)
            headers |= more
        if trick.is_gzipped:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        if trick.is_chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body))
        self.send_response(status)
        for name, value in (headers | dict(trick.headers)).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if request.method == "GET":
            self._body(site, body, trick)

    def _plain(self, status: int, headers: Mapping[str, str | None]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | dict(headers)).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def _body(self, site: Site, body: bytes, trick: Trick) -> None:
        ends = [each for each in (trick.cut_at, trick.stall_at, len(body)) if each is not None]
        began_s, end = time.monotonic(), min(ends)
        block_bytes = BLOCK_BYTES
        if trick.bytes_per_s is not None:
            block_bytes = max(1, min(BLOCK_BYTES, int(trick.bytes_per_s / 50)))
        for at in range(0, end, block_bytes):
            block = body[at : min(at + block_bytes, end)]
            self._write(block, trick.is_chunked)
            site.num_sent += len(block)
            if trick.bytes_per_s is not None:
                due_s = (at + len(block)) / trick.bytes_per_s
                site.is_closing.wait(max(0.0, began_s + due_s - time.monotonic()))
        self.wfile.flush()
        if trick.stall_at is not None:
            site.is_closing.wait()
        if end < len(body):
            self._break(trick.is_reset)
        elif trick.is_chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, block: bytes, is_chunked: bool) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if is_chunked else block)

    def _break(self, is_reset: bool) -> None:
        self.close_connection = True
        if is_reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)


def _part(content: bytes, request: Request, tag: str) -> tuple[bytes, int, dict[str, str]]:
    """The answer to a Range request, as RFC 9110 has it."""
    condition = request.headers.get("if-range")
    if condition is not None and (condition != tag or tag.startswith("W/")):
        return content, 200, {}
    start = request.start
    if start >= len(content):
        return b"", 416, {"Content-Range": f"bytes */{len(content)}"}
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return content[start:], 206, {"Content-Range": span}
