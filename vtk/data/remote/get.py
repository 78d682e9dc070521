"""From a name to files on the disk: plan, adopt, fetch, unpack, each step gone on with later."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from vtk.data.remote.adopt import Shelf, adopt_file, adopt_members
from vtk.data.remote.formats import format_fault
from vtk.data.remote.leftovers import remove_leftovers, remove_parts, remove_unpacked
from vtk.data.remote.model_cache import link_snapshot
from vtk.data.remote.needed import needed_targets
from vtk.data.remote.plan import make_plan, source_url, space_needed
from vtk.data.remote.record import RECORD_NAME, FileState, Record, now_text
from vtk.data.remote.routes import member_target
from vtk.data.remote.sources import VIDEO_SUFFIXES, Source, source_dir
from vtk.data.remote.unpack import DamagedMemberError, unpack
from vtk.data.remote.wishes import Got, Wishes
from vtk.errors import ConfigError, DataError
from vtk.net.claim import Claim, LostClaimError, claimed
from vtk.net.crew import work_together
from vtk.net.disk import require_space
from vtk.net.hub import hub_endpoint, hub_token, mend_access
from vtk.net.session import Contact, Session, TokenFor
from vtk.net.transfer import FileJob, Transfer, Watch


def get_source_files(
    source: Source, data_dir: Path, wishes: Wishes, watch: Watch, cancelled: threading.Event
) -> Got:
    """Have a source on the disk, whole and checked.

    Args:
        source: What.
        data_dir: The folder of the data sets.
        wishes: How.
        watch: Told how far each file is.
        cancelled: Set by whoever calls it off.

    Raises:
        ConfigError: Its terms are not agreed to.
        NetworkError, AccessError: The server cannot be reached, or refuses.
        DataError: A file or an archive is damaged, hostile, or gone.
        MissingEnvironmentError: The disk is too small.
    """
    root = source_dir(source, data_dir)
    wait = partial(_tell_wait, watch, source)
    try:
        with claimed(root / f"{RECORD_NAME}.owner", cancelled.is_set, wait) as claim:
            return _Getter(source, root, wishes, watch, cancelled, claim).get()
    except LostClaimError as error:
        raise DataError(
            f"another process took {source.name} over", "Repeat the command: it goes on."
        ) from error


def _tell_wait(watch: Watch, source: Source, owner: str) -> None:
    watch.on_note(source.name, f"waits: {owner} is downloading it")


class _Getter:
    """The download of one source."""

    def __init__(
        self,
        source: Source,
        root: Path,
        wishes: Wishes,
        watch: Watch,
        cancelled: threading.Event,
        claim: Claim,
    ) -> None:
        self._source, self._root, self._wishes = source, root, wishes
        self._watch, self._cancelled, self._claim = watch, cancelled, claim
        self._selection = "needed" if source.questions and not wishes.is_everything else "all"
        self._local, self._contact = threading.local(), Contact()
        self._is_new = False

    def get(self) -> Got:
        record = self._planned()
        remove_unpacked(record)
        missing = [each for each in record.files.values() if not self._is_ready(record, each)]
        needed: frozenset[str] | None = None
        if missing:
            self._is_new = True
            self._agree(record)
            self._save(record)
            remove_leftovers(record)
            self._adopt_files(record, missing)
            self._check_space(record)
            self._fetch_all(record, [each for each in missing if not each.is_archive], None)
            needed = self._needed(record)
            self._adopt_members(record, needed)
            self._fetch_all(record, [each for each in missing if each.is_archive], needed)
            self._save(record)
        return self._result(record, needed)

    def _planned(self) -> Record:
        record = Record.load(self._root)
        if record is not None and not self._wishes.is_updating:
            return record
        fresh = make_plan(
            self._source,
            self._root,
            self._wishes.mirror,
            self._new_session(),
            self._transfer(),
        )
        if record is not None:
            _keep_what_is_the_same(record, fresh)
        return fresh

    def _agree(self, record: Record) -> None:
        if not self._source.must_agree or record.agreed:
            return
        if not self._wishes.is_agreed:
            raise ConfigError(
                f"{self._source.name} may be used so: {self._source.use} ({self._source.licence})",
                "Read its page and, if you agree, add --accept-licence.",
            )
        record.agreed = now_text()

    def _is_ready(self, record: Record, state: FileState) -> bool:
        return record.is_ready(state, self._selection)

    def _save(self, record: Record, *, is_due: bool = True) -> None:
        self._claim.renew()
        record.save(self._source.name, self._source.licence, is_due=is_due)

    def _check_space(self, record: Record) -> None:
        wishes = self._wishes
        needed = space_needed(
            self._source, record, wishes.num_parallel, wishes.is_keeping, self._selection
        )
        mend = "" if not wishes.is_keeping else "Without --keep-archives it needs less."
        require_space(self._root, needed, self._source.name, mend)

    def _adopt_files(self, record: Record, missing: list[FileState]) -> None:
        if self._wishes.shelf is None:
            return
        shelf = Shelf(self._wishes.shelf)
        for state in missing:
            target = record.path_of(state)
            found = None if target.is_file() else adopt_file(shelf, state, target)
            if found is not None:
                self._watch.on_note(state.path, f"adopted from {self._wishes.shelf}")
                if not state.is_archive:
                    state.take(found)
        self._save(record)

    def _needed(self, record: Record) -> frozenset[str] | None:
        if self._selection == "all":
            return None
        targets = [each.target for each in record.files.values() if not each.is_archive]
        return needed_targets(self._source, self._root, targets)

    def _adopt_members(self, record: Record, needed: frozenset[str] | None) -> None:
        """Take unpacked clips that are here already, where the questions name them all.

        Clips whose archive is here are left to it: it knows their CRC-32, and goes afterwards.
        """
        shelf = None if self._wishes.shelf is None else Shelf(self._wishes.shelf)
        for into in {rule.into for rule in self._source.archives} if needed else ():
            group = [state for state in record.files.values() if self._goes_into(state, into)]
            targets = sorted(each for each in needed or () if each.startswith(f"{into}/"))
            has_archive = any(record.path_of(state).is_file() for state in group)
            if not targets or has_archive or all(state.selection for state in group):
                continue
            members = adopt_members(shelf, self._root, targets, lambda: None)
            for state in group if members else ():
                state.selection, state.members = self._selection, members or {}
                members = {}  # they are noted with the first archive of the group
                remove_parts(record.path_of(state))
                self._watch.on_note(state.path, "its clips are here already")
        self._save(record)

    def _goes_into(self, state: FileState, into: str) -> bool:
        rule = self._source.archive_rule(state.path)
        return rule is not None and rule.into == into

    def _fetch_all(
        self, record: Record, states: list[FileState], needed: frozenset[str] | None
    ) -> None:
        works = [
            partial(self._bring, record, state, needed)
            for state in states
            if not self._is_ready(record, state)
        ]
        if works:
            work_together(
                works, self._wishes.num_parallel, self._cancelled, on_tick=self._claim.renew
            )
            self._cancelled.clear()
            self._save(record)

    def _bring(self, record: Record, state: FileState, needed: frozenset[str] | None) -> None:
        """Fetch one file and, if it is an archive, unpack it; in a thread of its own."""
        job = self._job(record, state)
        for num_damaged in range(self._wishes.patience.num_corrupt + 1):
            state.take(self._transfer().fetch(job))
            if not state.is_archive:
                break
            try:
                self._unpack(record, state, job.target, needed)
                break
            except DamagedMemberError as error:
                job.target.unlink()  # its directory was right, a member's bytes are not
                self._watch.on_note(state.path, f"arrived damaged: {error.message}")
                if state.expected.is_hashed or num_damaged == self._wishes.patience.num_corrupt:
                    raise DataError(
                        error.message, "Try another network, or another server with --mirror."
                    ) from error
        self._save(record, is_due=False)

    def _job(self, record: Record, state: FileState) -> FileJob:
        is_hashed = state.expected.is_hashed
        return FileJob(
            name=state.path,
            url=source_url(self._source, self._wishes.mirror, record.revision, state.path),
            target=record.path_of(state),
            expected=state.expected,
            find_fault=(lambda _path: None) if is_hashed else _fault_finder(state.path),
            mend_access=mend_access(self._source.page),
        )

    def _unpack(
        self, record: Record, state: FileState, path: Path, needed: frozenset[str] | None
    ) -> None:
        rule = self._source.archive_rule(state.path)
        if rule is None:
            raise ValueError(f"{state.path} is no archive")
        members = unpack(
            path,
            self._root,
            partial(member_target, rule),
            needed,
            reserved=frozenset(each.target for each in record.files.values()),
            on_bytes=partial(self._watch.on_bytes, f"{state.path}: unpacking"),
            is_cancelled=self._cancelled.is_set,
        )
        state.members, state.selection = members, self._selection
        state.is_kept = self._wishes.is_keeping
        self._save(record)  # before the archive goes
        if not state.is_kept:
            path.unlink()

    def _transfer(self) -> Transfer:
        """The connections of the calling thread."""
        if not hasattr(self._local, "transfer"):
            self._local.transfer = Transfer(
                self._new_session(), self._wishes.patience, self._watch, self._cancelled
            )
        found: Transfer = self._local.transfer
        return found

    def _new_session(self) -> Session:
        patience = self._wishes.patience
        token = hub_token(self._wishes.mirror) if self._source.repo else None
        auth = TokenFor(hub_endpoint(self._wishes.mirror), token)
        return Session(auth, patience.connect_s, patience.stall_s, self._contact)

    def _result(self, record: Record, needed: frozenset[str] | None) -> Got:
        root = link_snapshot(record) if self._source.kind == "model" else self._root
        states = list(record.files.values())
        sizes = [state.num_bytes or 0 for state in states if not state.is_archive]
        sizes += [size for state in states for size, _ in state.members.values()]
        integrity: dict[str, int] = {}
        for state in states:
            kind = state.integrity or state.expected.integrity
            integrity[kind] = integrity.get(kind, 0) + 1
        here = {target for state in states for target in state.members}
        missing = sorted(
            target for target in (needed or frozenset()) - here if target.endswith(VIDEO_SUFFIXES)
        )
        return Got(
            name=self._source.name,
            path=str(root),
            is_new=self._is_new,
            revision=record.revision,
            num_files=len(sizes),
            bytes=sum(sizes),
            integrity=integrity,
            missing=missing,
        )


def _fault_finder(name: str) -> Callable[[Path], str | None]:
    return lambda path: format_fault(path, name)


def _keep_what_is_the_same(old: Record, fresh: Record) -> None:
    """What is here of an older version stays where the newer one has the same content."""
    fresh.agreed = old.agreed
    for path, state in fresh.files.items():
        before = old.files.get(path)
        with suppress(DataError):  # a path that leads elsewhere is not here
            is_same = before is not None and before.expected == state.expected
            if before is not None and is_same and state.expected.is_hashed and old.is_ready(before):
                fresh.files[path] = before
