"""A real judge on loopback: an HTTP server that speaks the chat API, or fails as told."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Answer:
    """How one request is answered.

    Attributes:
        text: The model's words, in a chat completion.
        status: Of the answer.
        headers: Added to it.
        body: Instead of a chat completion.
        finish: Why the model ended.
        hangs_up: The connection is closed without an answer.
    """

    text: str = "Reason: it says so.\nAnswer: B. slow"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    finish: str = "stop"
    hangs_up: bool = False

    def content(self) -> bytes:
        """The body that goes out."""
        if self.body is not None:
            return self.body
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


@dataclass
class JudgeSite:
    """What a judge was asked, and how it answers the request of each number.

    Attributes:
        answer: From the number of a request, from 0, and its document.
        asked: The documents that came.
        headers: Their headers, by lower-case name.
        url: Of the API.
    """

    answer: Callable[[int, dict[str, Any]], Answer] = lambda _number, _asked: Answer()
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def words(self) -> list[str]:
        """What the user turns said."""
        return [asked["messages"][-1]["content"] for asked in self.asked]


@contextmanager
def judging(site: JudgeSite) -> Iterator[JudgeSite]:
    """Serve a judge on loopback within the block."""
    server = _Server(("127.0.0.1", 0), _handler_for(site))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is what some tests are about; any other fault is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler_for(site: JudgeSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with site.lock:
                number = len(site.asked)
                site.asked.append(document)
                site.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = site.answer(number, document) if self.path == PATH else Answer(status=404)
            if answer.hangs_up:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            content = answer.content()
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
