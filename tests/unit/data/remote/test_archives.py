"""Archives that would harm, and archives that were damaged: nothing wrong reaches the disk."""

import io
import os
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reliability.publishers import make_zip
from vtk.data.remote.archive import MAX_MEMBERS, open_archive, read_members, structure_fault
from vtk.data.remote.unpack import TEMPORARY_SUFFIX, DamagedMemberError, Unpacked, unpack
from vtk.errors import DataError, MissingEnvironmentError
from vtk.net.transfer import Cancelled

GOOD = {"videos/a.mp4": b"a" * 5000, "videos/b.mp4": random.Random(0).randbytes(3_000_000)}


def unpacked(
    path: Path,
    root: Path,
    needed: frozenset[str] | None = None,
    route: Callable[[str], str | None] = lambda name: name,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Unpacked:
    return unpack(
        path, root, route, needed, on_bytes=lambda *_: None, is_cancelled=is_cancelled
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set's folder, with a neighbour that must not change."""
    (tmp_path / "victim.txt").write_text("untouched")
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def written(root: Path, content: bytes) -> Path:
    path = root.parent / "archive.zip"
    path.write_bytes(content)
    return path


def with_member(name: str = "x", **changes: object) -> bytes:
    """A good archive with one more member whose directory entry was changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("good.mp4", b"good")
        info = zipfile.ZipInfo(name)
        for key, value in changes.items():
            setattr(info, key, value)
        archive.writestr(info, b"/etc/passwd")
    return stream.getvalue()


def patched(content: bytes, signature: bytes, offset: int, value: bytes, nth: int = 0) -> bytes:
    """Bytes at an offset after the n-th occurrence of a record's signature, replaced."""
    at = -1
    for _ in range(nth + 1):
        at = content.index(signature, at + 1)
    return content[: at + offset] + value + content[at + offset + len(value) :]


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
PLAIN = make_zip({"a.mp4": b"a" * 100, "b.mp4": b"b" * 100}, zipfile.ZIP_STORED)
SYMLINK = (stat.S_IFLNK | 0o777) << 16
FIFO = (stat.S_IFIFO | 0o666) << 16
BOMB = make_zip({"a.mp4": bytes(200 << 20)})


def overlapping() -> bytes:
    """Both directory entries lead to the first member's bytes."""
    second = struct.pack("<I", 0)
    return patched(PLAIN, CENTRAL, 42, second, nth=1)


def lying_size() -> bytes:
    """A member that claims ten bytes and holds a hundred."""
    ten = struct.pack("<I", 10)
    return patched(patched(PLAIN, CENTRAL, 24, ten), LOCAL, 22, ten)


HOSTILE = {
    "climbs": with_member("../victim.txt"),
    "climbs inside": with_member("videos/../../victim.txt"),
    "absolute": with_member("/tmp/victim.txt"),
    "drive": with_member("C:/victim.txt"),
    "network share": with_member("//host/share/victim.txt"),
    "backslash": with_member("..\\victim.txt"),
    "URL": with_member("file:///etc/passwd"),
    "control characters": with_member("a\x1b[2Jb.mp4"),
    "new line": with_member("a\nb.mp4"),
    "device": with_member("videos/NUL.mp4"),
    "dot at the end": with_member("videos/a.mp4."),
    "too long": with_member("a" * 300 + ".mp4"),
    "NUL": patched(with_member("aXb.mp4"), b"aXb", 1, b"\0", nth=1),
    "symbolic link": with_member("link.mp4", external_attr=SYMLINK, create_system=3),
    "fifo": with_member("fifo.mp4", external_attr=FIFO, create_system=3),
    "encrypted": patched(PLAIN, CENTRAL, 8, b"\x01\x00"),
    "unknown packing": patched(PLAIN, CENTRAL, 10, b"\x09\x00"),
    "bomb": BOMB,
    "overlap": overlapping(),
}


def untouched(root: Path) -> bool:
    """Nothing was unpacked, and the neighbour is as it was."""
    is_empty = not any(path.is_file() or path.is_symlink() for path in root.rglob("*"))
    return is_empty and (root.parent / "victim.txt").read_text() == "untouched"


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_as_a_whole(root: Path, kind: str) -> None:
    path = written(root, HOSTILE[kind])
    with pytest.raises(DataError, match="is refused") as caught:
        unpacked(path, root)
    assert untouched(root)
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(root: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.mp4", b"first")
        archive.writestr("a.mp4", b"second")
    with pytest.raises(DataError, match="comes twice"):
        unpacked(written(root, stream.getvalue()), root)
    assert untouched(root)


def test_two_members_for_one_file_are_refused(root: Path) -> None:
    path = written(root, make_zip({"one/a.mp4": b"1", "two/a.mp4": b"2"}))
    with pytest.raises(DataError, match="two members go to"):
        unpacked(path, root, route=lambda name: name.rsplit("/")[-1])
    assert untouched(root)


def test_a_file_in_the_place_of_a_folder_is_refused(root: Path) -> None:
    path = written(root, make_zip({"a": b"1", "a/b.mp4": b"2"}))
    with pytest.raises(DataError, match="clashes"):
        unpacked(path, root)
    assert untouched(root)


def test_a_directory_of_too_many_members_is_refused_before_it_is_read(root: Path) -> None:
    end = PLAIN.index(b"PK\x05\x06")
    many = struct.pack("<HH", 0xFFFF, 0xFFFF)
    huge = PLAIN[:end]
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, MAX_MEMBERS + 1, MAX_MEMBERS + 1, 92, 0
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(huge), 1)
    tail = PLAIN[end : end + 8] + many + PLAIN[end + 12 :]
    path = written(root, huge + record + locator + tail)
    with pytest.raises(DataError, match=f"claims {MAX_MEMBERS + 1} members"):
        unpacked(path, root)
    assert untouched(root)


@pytest.mark.parametrize("where", ["parent", "file"])
def test_a_link_that_waits_in_the_folder_is_not_written_through(root: Path, where: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    if where == "parent":
        (root / "videos").symlink_to(outside)
    else:
        (root / "videos").mkdir()
        (root / "videos" / "a.mp4").symlink_to(root.parent / "victim.txt")
    with pytest.raises(DataError, match="link"):
        unpacked(written(root, make_zip(GOOD)), root)
    assert list(outside.iterdir()) == []
    assert (root.parent / "victim.txt").read_text() == "untouched"


def test_a_link_in_the_place_of_the_temporary_file_is_replaced(root: Path) -> None:
    (root / "videos").mkdir()
    (root / "videos" / f"a.mp4{TEMPORARY_SUFFIX}").symlink_to(root.parent / "victim.txt")
    unpacked(written(root, make_zip(GOOD)), root)
    assert (root.parent / "victim.txt").read_text() == "untouched"
    assert (root / "videos" / "a.mp4").read_bytes() == GOOD["videos/a.mp4"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_leaves_nothing_of_itself(root: Path, method: int) -> None:
    content = bytearray(make_zip(GOOD, method))
    content[len(content) // 2] ^= 1
    with pytest.raises(DamagedMemberError, match=r"b\.mp4"):
        unpacked(written(root, bytes(content)), root)
    assert [path.name for path in (root / "videos").iterdir()] == ["a.mp4"]


def test_a_member_that_is_longer_than_it_says_is_damaged(root: Path) -> None:
    with pytest.raises(DataError):
        unpacked(written(root, lying_size()), root)
    assert not (root / "a.mp4").exists()


@pytest.mark.parametrize("kept", [0, 1, 21, 22, 100, 3_000_000, -1])
def test_an_archive_cut_short_is_noticed(root: Path, kept: int) -> None:
    path = written(root, make_zip(GOOD, zipfile.ZIP_STORED)[:kept])
    fault = structure_fault(path)
    assert fault is not None
    assert "no whole zip archive" in fault
    with pytest.raises(DataError):
        unpacked(path, root)


def test_unpacking_goes_on_where_it_was_called_off(root: Path) -> None:
    path = written(root, make_zip(GOOD))
    with pytest.raises(Cancelled):
        unpacked(path, root, is_cancelled=(root / "videos/a.mp4").exists)
    assert [each.name for each in (root / "videos").iterdir()] == ["a.mp4"]
    before_ns = (root / "videos/a.mp4").stat().st_mtime_ns
    members = unpacked(path, root)
    assert (root / "videos/a.mp4").stat().st_mtime_ns == before_ns
    assert {name: (root / name).read_bytes() for name in members} == GOOD
    assert members["videos/a.mp4"][0] == 5000


def test_a_file_of_the_right_size_and_wrong_content_is_unpacked_again(root: Path) -> None:
    (root / "videos").mkdir()
    (root / "videos/a.mp4").write_bytes(b"b" * 5000)
    unpacked(written(root, make_zip(GOOD)), root)
    assert (root / "videos/a.mp4").read_bytes() == GOOD["videos/a.mp4"]


def test_only_what_is_needed_is_unpacked(root: Path) -> None:
    members = unpacked(written(root, make_zip(GOOD)), root, frozenset({"videos/a.mp4"}))
    assert set(members) == {"videos/a.mp4"}
    assert not (root / "videos/b.mp4").exists()


def test_an_archive_of_something_else_is_an_error(root: Path) -> None:
    with pytest.raises(DataError, match="nothing of what was expected"):
        unpacked(written(root, make_zip(GOOD)), root, route=lambda _name: None)


def test_room_is_asked_for_with_the_real_sizes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vtk.net.disk.free_bytes", lambda _folder: 3_000_000)
    with pytest.raises(MissingEnvironmentError, match="unpacking archive.zip needs 3.0 MiB"):
        unpacked(written(root, make_zip(GOOD)), root)
    assert untouched(root)


NAMES = st.text(
    st.sampled_from("ab./\\:~\0\n\x1b% A\u202e\u00e9"), min_size=1, max_size=12
) | st.lists(st.sampled_from(["..", ".", "", "a", "con", "~", "b.mp4"]), max_size=5).map("/".join)


@settings(max_examples=150, deadline=None)
@given(name=NAMES)
def test_no_name_leads_out_of_the_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    base = tmp_path_factory.mktemp("names")
    root = base / "a" / "b" / "data"
    root.mkdir(parents=True)
    info = zipfile.ZipInfo("x")
    info.filename = name
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, b"content")
    path = base / "archive.zip"
    path.write_bytes(stream.getvalue())
    try:
        unpacked(path, root)
    except DataError:
        assert not any(each.is_file() for each in root.rglob("*"))
    written_files = [each for each in base.rglob("*") if each.is_file() and each != path]
    assert all(each.is_relative_to(root) for each in written_files)
    assert not os.path.lexists("/content")


def test_members_come_in_the_order_in_which_they_lie(root: Path) -> None:
    path = written(root, make_zip(GOOD))
    with open_archive(path) as archive:
        assert [member.name for member in read_members(archive)] == list(GOOD)
