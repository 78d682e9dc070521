"""Archives that would harm, and archives that were damaged: nothing wrong reaches the disk."""

import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reliability.archives import DAMAGED, HOSTILE
from tests.reliability.publishers import make_zip
from vtk.data.remote.archive import open_archive, read_members, structure_fault
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
    return unpack(path, root, route, needed, on_bytes=lambda *_: None, is_cancelled=is_cancelled)


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


def untouched(root: Path) -> bool:
    """Nothing was unpacked, and the neighbour is as it was."""
    is_empty = not any(path.is_file() or path.is_symlink() for path in root.rglob("*"))
    return is_empty and (root.parent / "victim.txt").read_text() == "untouched"


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_as_a_whole(root: Path, kind: str) -> None:
    path = written(root, HOSTILE[kind])
    with pytest.raises(DataError, match=r"is refused|no whole zip") as caught:
        unpacked(path, root)
    assert untouched(root)
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message


def test_two_members_for_one_file_are_refused(root: Path) -> None:
    path = written(root, make_zip({"one/a.mp4": b"1", "two/a.mp4": b"2"}))
    with pytest.raises(DataError, match="two members go to"):
        unpacked(path, root, route=lambda name: name.rsplit("/")[-1])
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


def test_a_link_that_looks_like_a_temporary_file_goes_and_is_not_written_through(
    root: Path,
) -> None:
    (root / "videos").mkdir()
    (root / "videos" / f"a.mp4{TEMPORARY_SUFFIX}").symlink_to(root.parent / "victim.txt")
    unpacked(written(root, make_zip(GOOD)), root)
    assert (root.parent / "victim.txt").read_text() == "untouched"
    assert (root / "videos" / "a.mp4").read_bytes() == GOOD["videos/a.mp4"]
    left = {path.name for path in (root / "videos").iterdir()}
    assert left == {"a.mp4", "b.mp4"}, "what a killed process was writing is gone"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_leaves_nothing_of_itself(root: Path, method: int) -> None:
    content = bytearray(make_zip(GOOD, method))
    content[len(content) // 2] ^= 1
    with pytest.raises(DamagedMemberError, match=r"b\.mp4"):
        unpacked(written(root, bytes(content)), root)
    assert [path.name for path in (root / "videos").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_member_that_is_not_what_the_directory_says_is_damaged(root: Path, kind: str) -> None:
    with pytest.raises(DamagedMemberError):
        unpacked(written(root, DAMAGED[kind]), root)
    assert untouched(root)


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


@pytest.mark.parametrize("name", ["videos/b.mp4", "videos/b.mp4.part", "videos/b.mp4.part.owner"])
def test_no_member_takes_the_place_of_a_file_of_the_download(root: Path, name: str) -> None:
    path = written(root, make_zip({name: b"mine"}))
    with pytest.raises(DataError, match="take the place"):
        unpack(
            path,
            root,
            lambda each: each,
            None,
            on_bytes=lambda *_: None,
            is_cancelled=lambda: False,
            reserved=frozenset({"videos/b.mp4"}),
        )
    assert untouched(root)


def test_an_archive_of_something_else_is_an_error(root: Path) -> None:
    with pytest.raises(DataError, match="nothing of what was expected"):
        unpacked(written(root, make_zip(GOOD)), root, route=lambda _name: None)


def test_room_is_asked_for_with_the_real_sizes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtk.net.disk.free_bytes", lambda _folder: 3_000_000)
    with pytest.raises(MissingEnvironmentError, match=r"unpacking archive\.zip needs 3\.0 MiB"):
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
