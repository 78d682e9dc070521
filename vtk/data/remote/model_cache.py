"""A downloaded model in the layout of the Hub's cache, so that `from_pretrained` finds it.

The layout (blobs by hash, snapshots of links, refs): huggingface.co/docs/huggingface_hub,
"Understand caching". The model's files are blobs already; this adds the names.
"""

import os
from pathlib import Path

from vtk.data.remote.record import Record
from vtk.data.resolve import relative_reference
from vtk.net.disk import disk_error
from vtk.runs.files import write_bytes_atomic

_BRANCH = "main"


def link_snapshot(record: Record) -> Path:
    """Name a model's blobs as the files of its commit, and the commit as the newest one.

    Returns:
        The folder with the files.

    Raises:
        VtkError: The disk fails.
    """
    snapshot = record.root / "snapshots" / record.revision
    for state in record.files.values():
        name = snapshot / relative_reference(state.path)
        blob = record.root / state.target
        if name.exists() and name.samefile(blob):
            continue
        try:
            name.parent.mkdir(parents=True, exist_ok=True)
            name.unlink(missing_ok=True)
            _link(blob, name)
        except OSError as error:
            raise disk_error(name, error) from error
    write_bytes_atomic(record.root / "refs" / _BRANCH, record.revision.encode())
    return snapshot


def _link(blob: Path, name: Path) -> None:
    try:
        name.symlink_to(os.path.relpath(blob, name.parent))
    except OSError:  # a disk without symbolic links
        os.link(blob, name)
