"""Opens the dashboard: on this terminal, or behind the page of a browser."""

from collections.abc import Sequence
from pathlib import Path

from tui.app import ALL_KEYS, DEFAULT_FPS, DashboardApp
from tui.graphics.choice import Pictures, painter_for
from tui.keymap import as_toml, keys_file, read_keys
from tui.replay import ReplaySource
from tui.source import LiveSource
from tui.web.behind import DashboardBehindPage
from vtk.runs.store import RunPaths, resolve_run


def run_dashboard(
    runs_dir: Path,
    refs: Sequence[str | RunPaths],
    *,
    fps: float = DEFAULT_FPS,
    read_only: bool = False,
    ascii_only: bool = False,
    is_behind_page: bool = False,
    pictures: Pictures = "auto",
) -> None:
    """Open the dashboard on this terminal until the user leaves it.

    Args:
        runs_dir: The folder of all runs.
        refs: Runs by id, its beginning or a path; none is the newest run; a recording is replayed.
        fps: Looks a second.
        read_only: Ask the run for nothing.
        ascii_only: Draw with ASCII characters only.
        is_behind_page: A page of `tui.web.server` shows it.
        pictures: How frames are drawn; cells where they must be ASCII or go to a page.

    Raises:
        ConfigError: The user's file of keys has a fault.
        DataError: One of several runs is not there.
        SystemExit: A fault of our own ended it; its trace was printed.
    """
    ref = refs[0] if refs else None
    source = ReplaySource(ref) if isinstance(ref, RunPaths) else LiveSource(runs_dir, ref)
    all_keys = read_keys(ALL_KEYS)
    several = refs if len(refs) > 1 else ()
    beside = [run if isinstance(run, RunPaths) else resolve_run(runs_dir, run) for run in several]
    painter = None if ascii_only or is_behind_page else painter_for(pictures)
    make = DashboardBehindPage if is_behind_page else DashboardApp
    app = make(
        source, runs_dir, fps=fps, read_only=read_only, ascii_only=ascii_only, all_keys=all_keys,
        beside=beside, painter=painter,
    )  # fmt: skip
    app.run()
    if app.return_code:  # Textual has told why
        raise SystemExit(app.return_code)


def keys_as_toml() -> str:
    """Every action with its keys, the user's own among them, as a file of keys.

    Raises:
        ConfigError: The user's file of keys has a fault.
    """
    return f"# {keys_file()}\n{as_toml(read_keys(ALL_KEYS))}"
