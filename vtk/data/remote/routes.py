"""Where a file of a source, or a member of its archives, goes below the data set's folder."""

import re
from pathlib import Path

from vtk.data.registry import annotation_file, video_reference
from vtk.data.remote.sources import ArchiveRule, Source
from vtk.net.content import Expected

_SCENE = re.compile(r"(video|annotation)_(\d{5})\.(mp4|json)")


def file_target(source: Source, path: str, expected: Expected) -> str:
    """Where a file goes: a data set's keep their paths, a model's are blobs of the Hub's cache."""
    if source.kind == "dataset":
        return path
    return f"blobs/{expected.sha256 or expected.git_sha1}"


def member_target(rule: ArchiveRule, member: str) -> str | None:
    """Where a member of an archive goes; None if it is not wanted at all.

    What other systems add (`__MACOSX`, `.DS_Store`) is never wanted.

    Example:
        >>> from vtk.data.remote.sources import ArchiveRule
        >>> member_target(ArchiveRule("videos.zip", "videos"), "data/a.mp4")
        'videos/a.mp4'
    """
    name = member.rsplit("/", 1)[-1]
    if not name or name.startswith(("._", ".DS_Store")) or member.startswith("__MACOSX/"):
        return None
    if rule.layout == "tree":
        return f"{rule.into}/{member.removeprefix(rule.strip)}"
    if rule.layout == "clevrer":
        return _clevrer_target(rule.into.rsplit("/", 1)[-1], name)
    return f"{rule.into}/{name}" if name.lower().endswith(rule.suffixes) else None


def _clevrer_target(part: str, name: str) -> str | None:
    found = _SCENE.fullmatch(name)
    return None if found is None else clevrer_targets(part, int(found[2]))[found[1]]


def clevrer_targets(part: str, scene_index: int) -> dict[str, str]:
    """The clip and the annotation of a scene, relative to the data set's folder."""
    return {
        "video": video_reference(part, scene_index),
        "annotation": annotation_file(Path(), part, scene_index).as_posix(),
    }
