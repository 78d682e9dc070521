"""Whether what was downloaded is still what it was: every byte read again."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

from vtk.data.remote.aside import set_aside
from vtk.data.remote.holding import holding
from vtk.data.remote.record import FileState, Record
from vtk.data.remote.sources import SOURCES, Source, fetch_hint, source_dir
from vtk.data.remote.unpack import file_crc
from vtk.errors import DataError
from vtk.net.content import Expected, digest_file
from vtk.net.crew import work_together
from vtk.net.transfer import Cancelled


def verified_record(source: Source, data_dir: Path) -> Record:
    """The record of a download, to be checked without a network.

    Raises:
        DataError: There is none.
    """
    root = source_dir(source, data_dir)
    record = Record.load(root)
    hint = fetch_hint(source, data_dir)
    if record is None and not root.is_dir():
        raise DataError(f"{source.name} is not here: there is no {root}", hint)
    if record is None:
        if source.name in SOURCES:
            hint = f"{hint.replace('Get it', 'Adopt what lies in DIR')} --from DIR"
        raise DataError(
            f"{source.name} was not downloaded by vtk, so there is nothing to compare it with", hint
        )
    return record


def verify_source(
    source: Source,
    data_dir: Path,
    on_wait: Callable[[str], None],
    on_start: Callable[[int], None],
    on_file: Callable[[], None],
) -> tuple[Record, dict[str, str]]:
    """Compare every file with its record, and note there what is wrong; no download goes on beside.

    Args:
        source: What was downloaded.
        data_dir: The folder of the data sets.
        on_wait: Told once which process has to end first.
        on_start: Told how often `on_file` will be called.
        on_file: Called from another thread for each file and each unpacked clip.

    Returns:
        The record as it is now, and what is wrong, as `find_damage` gives it.

    Raises:
        DataError: There is no record, or another process took the folder over.
        VtkError: The disk fails.
    """
    root, cancelled = verified_record(source, data_dir).root, Event()
    with holding(source, root, cancelled.is_set, on_wait) as claim:
        record = verified_record(source, data_dir)  # as whoever was waited for left it
        on_start(count_checks(record))
        damage: dict[str, str] = {}

        def note_file() -> None:
            if cancelled.is_set():
                raise Cancelled
            on_file()

        def compare() -> None:
            damage.update(find_damage(record, note_file))

        work_together([compare], 1, cancelled, on_tick=claim.renew)
        claim.renew()
        record.save(source.name, source.licence)
    return record, damage


def find_damage(record: Record, on_file: Callable[[], None]) -> dict[str, str]:
    """Compare every file with its record; a damaged one is set aside, so that it comes anew.

    What an archive told of its files stays noted: only the damaged ones are unpacked again.

    Args:
        record: Of the download; the caller saves it.
        on_file: Told for each file and each unpacked clip.

    Returns:
        What is wrong, by path below the data set's folder.

    Raises:
        VtkError: The disk fails.
    """
    damage: dict[str, str] = {}
    for state in record.files.values():
        found = _members_damage(record, state, on_file) if state.is_archive else None
        if found is None:
            fault = _file_damage(record, state)
            found = {} if fault is None else {state.path: fault}
            on_file()
            if found:
                _lose(record.path_of(state))
                state.forget()
        damage.update(found)
    return damage


def _lose(path: Path) -> None:
    if path.is_file():
        set_aside(path)


def count_checks(record: Record) -> int:
    """How often `find_damage` will tell of a file."""
    return sum(max(1, len(state.members)) for state in record.files.values())


def _file_damage(record: Record, state: FileState) -> str | None:
    path = record.path_of(state)
    if state.is_archive or state.num_bytes is None or not path.is_file():
        return "it is not here"
    return digest_file(path, Expected(state.num_bytes, sha256=state.sha256)).problem()


def _members_damage(
    record: Record, state: FileState, on_file: Callable[[], None]
) -> dict[str, str] | None:
    """What is wrong with the unpacked files; None if nothing was unpacked."""
    if not state.selection:
        return None
    damage = {}
    for target, (num_bytes, crc) in state.members.items():
        path = record.root / target
        if not path.is_file():
            damage[target] = "it is not here"
        elif path.stat().st_size != num_bytes:
            damage[target] = f"it has {path.stat().st_size} bytes, not {num_bytes}"
        elif crc is not None and file_crc(path) != crc:
            damage[target] = "its content changed (CRC-32)"
        if target in damage:
            _lose(path)
        on_file()
    return damage
