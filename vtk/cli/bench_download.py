"""`vtk bench download`: what a download costs beside curl."""

from typing import Annotated, Any

import typer

from vtk.cli.console import Console
from vtk.cli.options import DataDir, Json
from vtk.cli.progress import show_progress
from vtk.format import format_number
from vtk.hints import DEFAULT_DATA_DIR


def download(
    size_mib: Annotated[
        int, typer.Option("--size-mib", min=1, help="Size of the file in MiB.")
    ] = 256,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Measured rounds.")] = 7,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Time a download against curl on loopback, to the disk of --data-dir; under a minute.

    Nothing is timed before each way fetched the right bytes. vtk compares the content while it
    arrives and syncs it; one way with curl does so afterwards, the other not at all.
    """
    from vtk.bench.download import bench_download

    console = Console(as_json)
    with show_progress(console, "Downloading", rounds + 1, "rounds") as progress:
        document = bench_download(size_mib, rounds, data_dir, on_round=progress.advance)
    rows = [
        (
            way,
            format_number(size_mib / facts["wall_s"], 3),
            format_number(facts["wall_s"], 3),
            format_number(facts["cpu_s"], 3),
            _times(document["ratio"].get(way)),
        )
        for way, facts in document["ways"].items()
    ]
    columns = ("way", "MiB/s", "wall s", "cpu s", "vtk takes (wall) [least, most]")
    console.table(columns, rows, title=f"A file of {size_mib} MiB, median of {rounds} rounds")
    console.document(document)


def _times(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return ""
    wall = ratio["wall"]
    median, least, most = (format_number(wall[name], 3) for name in ("median", "min", "max"))
    return f"{median} times [{least}, {most}]"
