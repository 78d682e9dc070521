"""Archives that are unpacked into one folder, and clips that are taken without their archive.

Which archive of a group holds a clip is not known before it is fetched, so clips that were here
already are taken for a whole group or not at all.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile

from vtk.data.remote.adopt import Shelf, adopt_members
from vtk.data.remote.leftovers import remove_parts
from vtk.data.remote.needed import Needed
from vtk.data.remote.record import FileState, Record
from vtk.data.remote.sources import Source
from vtk.net.content import BY_NAME


def archive_groups(source: Source, record: Record) -> dict[str, list[FileState]]:
    """The archives of a source by the folder that they are unpacked into.

    What several of them hold belongs to the first; their order is fixed, supplements last.
    """
    found = []
    for state in record.files.values():
        rule = source.archive_rule(state.path)
        if rule is not None:
            found.append((rule.is_supplement, state.path, rule.into))
    groups: dict[str, list[FileState]] = {}
    for _, path, into in sorted(found):
        groups.setdefault(into, []).append(record.files[path])
    return groups


def owned_before(group: Sequence[FileState], state: FileState) -> dict[str, str]:
    """The files that earlier archives of a group were unpacked to, with the archive's path."""
    earlier = takewhile(lambda each: each is not state, group)
    return {target: each.path for each in earlier for target in each.members}


def take_over(group: Sequence[FileState], state: FileState) -> Counter[str]:
    """Note that what an archive was unpacked to is its own, and no later archive's.

    Returns:
        How many files it took over, by the path of the archive that had them.
    """
    num_taken = Counter[str]()
    for other in list(group)[list(group).index(state) + 1 :]:
        left = {at: facts for at, facts in other.members.items() if at not in state.members}
        if len(left) < len(other.members):
            num_taken[other.path] = len(other.members) - len(left)
            other.members = left
    return num_taken


def adopt_groups(
    source: Source,
    record: Record,
    needed: Needed,
    shelf: Shelf | None,
    on_note: Callable[[str, str], None],
) -> None:
    """Take unpacked clips that are here already, where the questions name them all.

    Clips whose archive is here are left to it: it knows their CRC-32, and goes afterwards.

    Raises:
        DataError: A place leads out of the folder.
        VtkError: The disk fails.
    """
    for into, group in archive_groups(source, record).items():
        missing = [state for state in group if not state.selection]
        is_old = any(state.is_outdated or state.members for state in missing)
        if not missing or is_old or any(record.path_of(state).is_file() for state in missing):
            continue
        wanted = needed.below(into).without(record.members_here())
        members = adopt_members(shelf, record.root, wanted)
        for state in missing if members else ():
            state.selection, state.members = "needed", members or {}
            state.integrity = BY_NAME
            members = {}  # they are noted with the first archive of the group
            remove_parts(record.path_of(state))
            on_note(state.path, "its clips are here already")


def reopen_adopted(source: Source, record: Record, selection: str) -> None:
    """Ask for every archive of a group whose adopted clips are not all here any more."""
    for group in archive_groups(source, record).values():
        adopted = [state for state in group if state.integrity == BY_NAME]
        if not all(record.is_ready(state, selection) for state in adopted):
            for state in adopted:
                state.forget()


def reopen_for(source: Source, record: Record, needed: Needed) -> None:
    """Ask again for archives of which newer questions name more than older ones did."""
    for into, group in archive_groups(source, record).items():
        new = needed.below(into).without(record.members_here()).choices.keys()
        if all(state.selection for state in group) and new - set(record.missing):
            for state in group:
                state.selection = "" if state.selection == "needed" else state.selection
