"""What a file's own format tells of its being whole, where nobody published a hash of it."""

from pathlib import Path

from vtk.data.remote.archive import structure_fault

_TAIL_BYTES = 4096


def format_fault(path: Path, name: str) -> str | None:
    """What speaks against a file being whole and of its kind; None if nothing does.

    Args:
        path: The file, perhaps under another name.
        name: Its proper name, whose ending says what it should be.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".zip":
        return structure_fault(path)
    head, tail = _ends(path)
    if suffix == ".json":
        brackets = (head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1], tail.rstrip()[-1:])
        return None if brackets in ((b"[", b"]"), (b"{", b"}")) else "it is no whole JSON text"
    if suffix == ".mp4":
        return None if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") else "it is no MP4 file"
    if suffix == ".parquet":
        is_whole = head[:4] == tail[-4:] == b"PAR1"
        return None if is_whole else "it is no whole parquet file"
    return None


def _ends(path: Path) -> tuple[bytes, bytes]:
    with path.open("rb") as stream:
        head = stream.read(_TAIL_BYTES)
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return head, stream.read()
