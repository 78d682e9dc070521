"""What all tests share: a clean environment, fresh interpreters, no network."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub: no test may download
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for _size in (
    "COLUMNS",
    "LINES",
):  # pytest-xdist sets them, and they win over a terminal's own size
    os.environ.pop(_size, None)

REPOSITORY = Path(__file__).resolve().parents[1]
RunPython = Callable[..., subprocess.CompletedProcess[str]]
KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")

# Every process that a test starts imports the code beside the tests, whichever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A developer's own VTK_ variables and cached clips change no test."""
    for name in [name for name in os.environ if name.startswith("VTK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VTK_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, scope="session")
def _signals_as_in_a_terminal() -> Iterator[None]:
    """A shell's background ignores Ctrl-C, `nohup` a hang-up, and so would what tests start."""
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGHUP, hang_up)


@pytest.fixture
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Runs a fresh interpreter with an empty home, outside the checkout.

    Call it with the interpreter's arguments; `env` adds variables, `cwd` moves it,
    `timeout_s` limits it (120 by default).
    """

    def run(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        clean = {"HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TERM": "dumb"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or tmp_path,
            env=kept | clean | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
        )

    return run
