"""`vtk dashboard --serve`: the dashboard in a browser, by a server of this machine."""

import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vtk.cli.console import Console
from vtk.errors import MissingEnvironmentError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8321
_SERVER = "textual-serve>=1.1.3"


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served, and where.

    Attributes:
        runs: As the user named them; empty is the newest run.
        runs_dir: The folder of all runs.
        host: Name or address to bind to.
        port: 0 takes a free one.
        is_read_only: Nothing can be asked of the run.
        options: Further options of `vtk dashboard` for the process behind each page.
    """

    runs: Sequence[str]
    runs_dir: Path
    host: str
    port: int
    is_read_only: bool
    options: Sequence[str] = ()

    def command(self) -> str:
        """A shell's line for the process behind one page; it knows this folder and Python."""
        access = "--read-only" if self.is_read_only else "--control"
        arguments = [
            sys.executable, "-m", "vtk", "dashboard", "--behind-page", access,
            "--runs-dir", str(self.runs_dir), *self.options, "--", *self.runs,
        ]  # fmt: skip
        return f"exec {shlex.join(arguments)}"


def serve_dashboard(serving: Serving, console: Console) -> None:
    """Serve until Ctrl-C or SIGTERM, after saying where.

    Raises:
        MissingEnvironmentError: The server is not installed.
        ConfigError: The address cannot be had.
    """
    try:
        from tui.web.server import serve
    except ModuleNotFoundError as error:
        from vtk.system.checks import pip_command

        raise MissingEnvironmentError(
            f"--serve needs textual-serve, which is not installed ({error.name} is missing)",
            f"Install it: {shlex.join(pip_command([_SERVER]))}",
        ) from error

    def tell(address: str) -> None:
        _tell(serving, address, console)

    serve(serving.command(), serving.host, serving.port, tell, console.note)


def _tell(serving: Serving, address: str, console: Console) -> None:
    from tui.web.door import is_loopback

    console.document({"url": address, "read_only": serving.is_read_only})
    if not console.is_json:
        console.say(address)
        console.stdout.flush()
    looks = "look, but ask nothing of the run" if serving.is_read_only else "look and control"
    console.note(f"Who has this address can {looks}. Ctrl-C ends the server.")
    if is_loopback(serving.host):
        port = address.split("/")[2].rpartition(":")[2]
        console.note(
            "From another machine, forward the port and open the same address there: "
            f"ssh -L {port}:localhost:{port} {socket.gethostname()}"
        )
    else:
        console.warn(
            "other machines reach this server, over plain HTTP: whoever reads the network reads "
            "the token. Without --host and through ssh -L nobody does."
        )
