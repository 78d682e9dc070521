"""S5: a token in every place that it can be in, and a search for it in all that comes out."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.reliability.downloads import Place, place
from tests.reliability.figures import Figures
from tests.reliability.web import Site, Trick, serving
from vtk.runs.store import create_run
from vtk.runs.writer import EventWriter

TOKEN = "hf_CANARYcanaryCANARYcanary0123456789"
PASSWORD = "pa55-CANARY-w0rd"


def tokens_stay_hidden(folder: Path) -> Figures:
    """Downloads that succeed, are refused, break and are sent elsewhere, and a run."""
    result = Figures("S5", "Tokens never appear in output")
    num_scanned, stranger = 0, Site()
    with _with_token(), serving(stranger) as elsewhere:
        tricks = {
            "served": Trick(),
            "401": Trick(status=401),
            "403 that says the token": Trick(status=403, headers={"X-Error-Message": TOKEN}),
            "500": Trick(status=500),
            "cut": Trick(cut_at=1000),
            "another host": Trick(
                status=302, headers={"Location": elsewhere.replace("127.0.0.1", "localhost")}
            ),
            "a page that says the token": Trick(body=TOKEN.encode()),
        }
        for number, (name, trick) in enumerate(tricks.items()):
            with place(folder / str(number), num_clips=1, clip_size=10_000) as here:
                here.site.trick = lambda request, trick=trick: (  # type: ignore[misc]
                    trick if request.path.endswith(".zip") else Trick()
                )
                here.start("--retries", "2").wait()
                result.check(bool(here.site.requests), f"{name}: nothing was asked")
                num_scanned += _scan(here.folder, name, result)
        for request in stranger.requests:
            result.check("authorization" not in request.headers, "the token went to another host")
        for number, option in enumerate(_with_password()):
            with place(folder / f"p{number}", num_clips=1, clip_size=10_000) as here:
                here.start(*option(here), "--retries", "1").wait()
                num_scanned += _scan(here.folder, f"password {number}", result)
        num_scanned += _scan(_run_that_fails(folder / "runs"), "a run", result)
    result.count = f"{len(tricks)} answers of a server, 5 mirrors with a password, a run that fails"
    result.figures = [
        f"0 leaks in {num_scanned} files and outputs",
        f"{len(stranger.requests)} redirected requests, none with the token",
    ]
    return result


def _with_password() -> list[Callable[[Place], tuple[str, ...]]]:
    def mirror(here: Place) -> tuple[str, ...]:
        return ("--mirror", here.site.url.replace("://", f"://me:{PASSWORD}@"))

    def dead(_: Place) -> tuple[str, ...]:
        return ("--mirror", f"http://me:{PASSWORD}@127.0.0.1:9")

    def query(_: Place) -> tuple[str, ...]:
        return ("--mirror", f"http://127.0.0.1:9/?token={PASSWORD}")

    def broken(here: Place) -> tuple[str, ...]:
        here.site.trick = lambda each: Trick(cut_at=5000) if each.path.endswith(".zip") else Trick()
        return mirror(here)

    def refused(here: Place) -> tuple[str, ...]:
        here.site.trick = lambda _: Trick(status=403)
        return mirror(here)

    return [mirror, dead, query, broken, refused]


@contextmanager
def _with_token() -> Iterator[None]:
    before = os.environ.get("HF_TOKEN")
    os.environ["HF_TOKEN"] = TOKEN
    try:
        yield
    finally:
        os.environ.pop("HF_TOKEN")
        if before is not None:
            os.environ["HF_TOKEN"] = before


def _run_that_fails(runs_dir: Path) -> Path:
    """A run whose command line and error hold an address with a password."""
    argv = ["vtk", "train-grpo", "--mirror", f"https://me:{PASSWORD}@host/x", f"--token={TOKEN}"]
    run = create_run(runs_dir, "grpo", "secret", argv=argv)
    with EventWriter(run) as writer:
        writer.finish("failed", "DataError", f"cannot read https://me:{PASSWORD}@host: {TOKEN}")
    return runs_dir


def _scan(folder: Path, name: str, result: Figures) -> int:
    """Look for the secrets in every file below a folder, the printed output among them."""
    sys.stdout.flush()
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        for secret in (TOKEN, PASSWORD):
            is_served = name == "a page that says the token" and path.name.endswith(".part")
            result.check(secret.encode() not in content or is_served, f"{name}: {path.name}")
    return len(files)
