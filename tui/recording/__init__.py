"""The run that `vtk dashboard --demo` plays; `docs/make_recording.py` made it."""

from pathlib import Path

from vtk.runs.store import RunPaths


def demo_run() -> RunPaths:
    """A CDPO run of the tiny model, recorded by the real trainer."""
    return RunPaths(Path(__file__).parent / "cdpo-demo")
