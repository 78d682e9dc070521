"""Which clips the questions name: only those are unpacked unless the user wants all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from vtk.data.json_stream import iter_json_array
from vtk.data.remote.aside import set_aside
from vtk.data.remote.record import FileState, Record
from vtk.data.remote.routes import clevrer_targets
from vtk.data.remote.sources import Source
from vtk.errors import DataError
from vtk.hints import download_hint

_NUM_NAMES = 100_000
"""CLEVRER names a scene by five digits."""


@dataclass(frozen=True, slots=True)
class Needed:
    """The files that questions name, relative to the data set's folder.

    Attributes:
        choices: What the questions call a file -> the places where evaluation looks for it. One of
            them is enough.
    """

    choices: Mapping[str, tuple[str, ...]]

    def targets(self) -> frozenset[str]:
        """Every place in which an archive may have one of them."""
        return frozenset(place for places in self.choices.values() for place in places)

    def below(self, folder: str) -> "Needed":
        """Those of one folder."""
        inside = f"{folder}/"
        return Needed({name: at for name, at in self.choices.items() if name.startswith(inside)})

    def without(self, here: frozenset[str]) -> "Needed":
        """Those that are in none of their places."""
        return Needed({name: at for name, at in self.choices.items() if here.isdisjoint(at)})


def needed_files(source: Source, record: Record) -> Needed | None:
    """The files that the questions of a source name.

    A damaged question file of which nobody published a hash is set aside: it will come anew.

    Args:
        source: The data set.
        record: Of its download; its question files are here. The caller saves it.

    Returns:
        None if nothing says so, and all are needed.

    Raises:
        DataError: A question file is damaged, or names nothing.
    """
    if not source.questions:
        return None
    choices: dict[str, tuple[str, ...]] = {}
    for state in record.files.values():
        if fnmatchcase(state.path, source.questions):
            choices |= {places[0]: places for places in _read_questions(source, record, state)}
    if not choices:
        raise DataError(
            f"the questions of {source.name} name no clips",
            download_hint(source.name, record.root.parent, "--everything"),
        )
    return Needed(choices)


def _read_questions(source: Source, record: Record, state: FileState) -> list[tuple[str, ...]]:
    read = _clevrer_needs if source.name == "clevrer" else _video_mme_needs
    path = record.path_of(state)
    try:
        return list(read(path))
    except DataError as error:
        if state.expected.is_hashed:
            raise
        state.forget()
        raise DataError(
            f"{error.message}; it was set aside as {set_aside(path).name}",
            "Repeat the command: it is fetched anew. With --from, look at what DIR holds.",
        ) from error


def _clevrer_needs(path: Path) -> Iterator[tuple[str, ...]]:
    """Clip and annotation of each scene with a counterfactual question."""
    for position, scene in iter_json_array(path):
        if not (isinstance(scene, dict) and isinstance(scene.get("questions"), list)):
            raise DataError(f"{path}: scene {position} has no list of questions")
        types = {each.get("question_type") for each in scene["questions"] if isinstance(each, dict)}
        index = scene.get("scene_index")
        if "counterfactual" in types and isinstance(index, int) and 0 <= index < _NUM_NAMES:
            yield from ((target,) for target in clevrer_targets(path.stem, index).values())


def _video_mme_needs(path: Path) -> Iterator[tuple[str, ...]]:
    """The video, by each ending that evaluation knows, and the subtitles of each row."""
    import pyarrow
    import pyarrow.parquet

    from vtk.data.benchmarks.video_mme import SUFFIXES

    try:
        ids = pyarrow.parquet.read_table(path, columns=["videoID"]).column("videoID").to_pylist()
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is damaged or has another layout: {error}") from error
    for video_id in ids:
        yield tuple(f"videos/{video_id}{suffix}" for suffix in SUFFIXES)
        yield (f"subtitle/{video_id}.srt",)
