"""Which clips the questions name: only those are unpacked unless the user wants all."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from vtk.data.json_stream import iter_json_array
from vtk.data.remote.routes import clevrer_targets
from vtk.data.remote.sources import Source
from vtk.errors import DataError
from vtk.hints import download_hint


def needed_targets(source: Source, root: Path, targets: list[str]) -> frozenset[str] | None:
    """The files, relative to `root`, that the questions of a source name.

    Args:
        source: The data set.
        root: Its folder, with the question files.
        targets: Its files, relative to `root`; the question files are among them.

    Returns:
        None if nothing says so, and all are needed.

    Raises:
        DataError: A question file is damaged.
    """
    if not source.questions:
        return None
    files = [root / target for target in targets if fnmatchcase(target, source.questions)]
    read = _clevrer_needs if source.name == "clevrer" else _video_mme_needs
    needed = frozenset(target for path in files for target in read(path))
    if not needed:
        raise DataError(
            f"the questions of {source.name} name no clips",
            download_hint(source.name, root.parent, "--everything"),
        )
    return needed


def _clevrer_needs(path: Path) -> Iterator[str]:
    """Clip and annotation of each scene with a counterfactual question."""
    for position, scene in iter_json_array(path):
        if not (isinstance(scene, dict) and isinstance(scene.get("questions"), list)):
            raise DataError(f"{path}: scene {position} has no list of questions")
        types = {each.get("question_type") for each in scene["questions"] if isinstance(each, dict)}
        index = scene.get("scene_index")
        if "counterfactual" in types and isinstance(index, int):
            yield from clevrer_targets(path.stem, index).values()


def _video_mme_needs(path: Path) -> Iterator[str]:
    """The video and the subtitles of each row."""
    import pyarrow
    import pyarrow.parquet

    try:
        ids = pyarrow.parquet.read_table(path, columns=["videoID"]).column("videoID").to_pylist()
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is damaged or has another layout: {error}") from error
    for video_id in ids:
        yield f"videos/{video_id}.mp4"
        yield f"subtitle/{video_id}.srt"
