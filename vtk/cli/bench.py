"""`vtk bench`: side-by-side measurements on this machine."""

import typer

from vtk.cli.bench_decode import decode

bench_app = typer.Typer(help="Measure how fast this machine does what vtk does.")


@bench_app.callback()
def _group() -> None:
    """Keep `decode` a word of its own while it is the only command."""


bench_app.command("decode")(decode)
