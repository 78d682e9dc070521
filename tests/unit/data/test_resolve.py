"""Paths found in data stay below their root."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtk.data.resolve import DataRoot, resolve_under
from vtk.errors import DataError


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("videos/a.mp4", "videos/a.mp4"),
        ("./videos//a.mp4", "videos/a.mp4"),
        ("/CLEVRER/train_video/video_00000.mp4", "CLEVRER/train_video/video_00000.mp4"),
        ("videos/..a/b...mp4", "videos/..a/b...mp4"),
        ("videos/~root/ü 1.mp4", "videos/~root/ü 1.mp4"),
    ],
)
def test_a_plain_or_absolute_reference_lands_below_the_root(
    tmp_path: Path, reference: str, expected: str
) -> None:
    assert resolve_under(tmp_path, reference) == tmp_path.resolve() / expected


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("../secret.mp4", "climbs"),
        ("videos/../../secret.mp4", "climbs"),
        ("videos/..", "climbs"),
        ("/../etc/passwd", "climbs"),
        ("a\0.mp4", "NUL"),
        ("C:/videos/a.mp4", "drive"),
        ("c:a.mp4", "drive"),
        ("//host/share/a.mp4", "network share"),
        ("\\\\host\\share\\a.mp4", "network share"),
        ("videos\\..\\a.mp4", "backslash"),
        ("http://example.org/a.mp4", "URL"),
        ("file:///etc/passwd", "URL"),
        ("file:/etc/passwd", "URL"),
        ("data:video/mp4;base64,AAAA", "URL"),
        ("concat:a.mp4|b.mp4", "URL"),
        ("", "names no file"),
        ("/", "names no file"),
        (".", "names no file"),
    ],
)
def test_a_reference_that_could_escape_is_refused_with_its_reason(
    tmp_path: Path, reference: str, reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        resolve_under(tmp_path, reference)


def test_a_link_that_leads_out_is_refused_and_one_that_stays_in_is_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "videos").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.mp4").write_bytes(b"x")
    (root / "videos" / "out").symlink_to(outside)
    (root / "videos" / "file.mp4").symlink_to(outside / "secret.mp4")
    (root / "in").symlink_to(root / "videos")
    for reference in ("videos/out/secret.mp4", "videos/file.mp4", "videos/out/not-there.mp4"):
        with pytest.raises(DataError, match="symbolic link"):
            resolve_under(root, reference)
    assert resolve_under(root, "in/a.mp4") == root.resolve() / "videos" / "a.mp4"


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "clevrer"
    real.mkdir(parents=True)
    link = tmp_path / "clevrer"
    link.symlink_to(real)
    assert resolve_under(link, "videos/a.mp4") == real.resolve() / "videos" / "a.mp4"


def test_a_loop_of_links_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with suppress(DataError):
        assert resolve_under(tmp_path, "a/x.mp4").is_relative_to(tmp_path.resolve())


@given(st.text(max_size=40))
def test_whatever_the_text_the_result_is_below_the_root_or_refused(reference: str) -> None:
    root = Path("/srv/data")
    try:
        target = resolve_under(root, reference)
    except DataError:
        return
    assert target.is_relative_to(root.resolve())
    assert target != root.resolve()


def test_a_root_looks_a_reference_up_once_and_refuses_it_each_time(tmp_path: Path) -> None:
    real, outside = tmp_path / "real", tmp_path / "outside"
    (real / "videos").mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "link").symlink_to(real)
    (real / "out").symlink_to(outside)
    root = DataRoot(tmp_path / "link")
    first = root.find("/videos/./a.mp4")
    assert (first.path, first.name) == ((real / "videos" / "a.mp4").resolve(), "videos/a.mp4")
    assert root.find("/videos/./a.mp4") is first
    for _ in range(2):
        with pytest.raises(DataError, match="leaves"):
            root.find("out/a.mp4")
