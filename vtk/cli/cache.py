"""`vtk data cache`: look at decoded clips that are kept on disk, and delete them."""

from dataclasses import asdict
from typing import Annotated

import typer

from vtk.cli.console import Console
from vtk.cli.help import Menu
from vtk.cli.options import Json
from vtk.format import format_bytes, format_count

data_app = Menu(help="Check clips; look at decoded clips that are kept.")


@data_app.command("cache")
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of it.")] = False,
    as_json: Json = False,
) -> None:
    """Say where decoded clips are kept and how much room they take.

    They can be deleted at any time, also while runs read them: they are decoded again. How large
    the cache may grow is each run's video.cache_gib; VTK_CACHE_DIR moves it.
    """
    import os

    from vtk.video.cache_folder import CacheFolder, cache_dir

    console = Console(as_json)
    folder = CacheFolder(cache_dir(os.environ), max_bytes=0)
    usage = folder.clear() if clear else folder.usage()
    what = f"{format_count(usage.num_clips)} decoded clips, {format_bytes(usage.num_bytes)}"
    console.say(f"{'Deleted from' if clear else 'Kept in'} {folder.root}: {what}")
    console.document({"path": str(folder.root), "cleared": clear, **asdict(usage)})
    if not clear and usage.num_clips:
        console.next_command("vtk data cache --clear", "delete them")
