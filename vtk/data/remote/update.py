"""From the record of an older version to that of a newer one, with what is the same in both."""

from vtk.data.remote.record import FileState, Record


def keep_what_is_the_same(old: Record, fresh: Record) -> None:
    """What is here of an older version stays where the newer one has the same content.

    Where nobody publishes hashes, a file whose size is the same counts as the same. A file that is
    another one now is marked, so that what lies in its place is not taken for it.
    """
    fresh.agreed, fresh.missing = old.agreed, old.missing
    for path, state in fresh.files.items():
        before = old.files.get(path)
        if before is not None and _is_same(before, state):
            fresh.files[path] = before
        elif before is not None:
            state.is_outdated = True


def _is_same(before: FileState, state: FileState) -> bool:
    if before.expected != state.expected:
        return False
    sizes = {before.about_bytes, state.about_bytes} - {None}
    return state.expected.is_hashed or len(sizes) < 2
