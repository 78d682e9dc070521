"""From a name to files on the disk: plan, adopt, fetch, unpack, each step gone on with later."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vtk.data.remote.adopt import Shelf, adopt_file
from vtk.data.remote.aside import remove_aside, set_aside
from vtk.data.remote.formats import format_fault
from vtk.data.remote.groups import (
    adopt_groups,
    archive_groups,
    owned_before,
    reopen_adopted,
    reopen_for,
    take_over,
)
from vtk.data.remote.holding import holding
from vtk.data.remote.leftovers import remove_leftovers
from vtk.data.remote.model_cache import link_snapshot
from vtk.data.remote.needed import Needed, needed_files
from vtk.data.remote.plan import make_plan, source_url, space_needed
from vtk.data.remote.record import FileState, Record, now_text
from vtk.data.remote.routes import member_target
from vtk.data.remote.sources import Source, source_dir
from vtk.data.remote.unpack import DamagedMemberError, unpack
from vtk.data.remote.update import keep_what_is_the_same
from vtk.data.remote.wishes import Got, Wishes, got_from
from vtk.errors import ConfigError, DataError
from vtk.format import format_count
from vtk.net.claim import Claim
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
    with holding(source, root, cancelled.is_set, wait) as claim:
        return _Getter(source, root, wishes, watch, cancelled, claim).get()


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
        self._unpacking = {rule.into: threading.Lock() for rule in source.archives}
        self._is_new = False

    def get(self) -> Got:
        record = self._planned()
        remove_leftovers(record)
        reopen_adopted(self._source, record, self._selection)
        missing = [each for each in record.files.values() if not self._is_ready(record, each)]
        if missing:
            self._is_new = True
            self._agree(record)
            self._save(record)
            self._adopt_files(record, missing)
            self._check_space(record)
            self._fetch_all(record, [each for each in missing if not each.is_archive], None)
            self._have_members(record)
            self._save(record)
            remove_aside(record)
        return self._result(record)

    def _have_members(self, record: Record) -> None:
        """Adopt, or fetch and unpack, what of the archives is wanted."""
        needed = self._needed(record)
        if needed is not None:
            reopen_for(self._source, record, needed)
            shelf = (
                None if self._wishes.shelf is None else Shelf(self._wishes.shelf, self._source.name)
            )
            adopt_groups(self._source, record, needed, shelf, self._watch.on_note)
            self._save(record)
        self._fetch_all(record, [each for each in record.files.values() if each.is_archive], needed)
        if needed is not None:
            record.missing = sorted(needed.without(record.members_here()).choices)

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
            keep_what_is_the_same(record, fresh)
            self._claim.renew()
            fresh.save(self._source.name, self._source.licence)
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
        shelf = Shelf(self._wishes.shelf, self._source.name)
        for state in missing:
            target = record.path_of(state)
            found = None if target.is_file() else adopt_file(shelf, state, target)
            if found is not None:
                self._watch.on_note(state.path, f"adopted from {self._wishes.shelf}")
                if not state.is_archive:
                    state.take(found)
        self._save(record)

    def _needed(self, record: Record) -> Needed | None:
        if self._selection == "all":
            return None
        try:
            return needed_files(self._source, record)
        finally:
            self._save(record)

    def _fetch_all(self, record: Record, states: list[FileState], needed: Needed | None) -> None:
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

    def _bring(self, record: Record, state: FileState, needed: Needed | None) -> None:
        """Fetch one file and, if it is an archive, unpack it; in a thread of its own."""
        job = self._job(record, state)
        if state.is_outdated and not state.expected.is_hashed and job.target.is_file():
            set_aside(job.target)
        for num_damaged in range(self._wishes.patience.num_corrupt + 1):
            state.take(self._transfer().fetch(job))
            if not state.is_archive:
                break
            try:
                self._unpack(record, state, job.target, needed)
                break
            except DamagedMemberError as error:
                if state.expected.is_hashed:
                    raise self._bad_as_published(state, error) from error
                job.target.unlink()  # its directory was right, a member's bytes are not
                self._watch.on_note(state.path, f"arrived damaged: {error.message}")
                if num_damaged == self._wishes.patience.num_corrupt:
                    raise DataError(
                        error.message, "Try another network, or another server with --mirror."
                    ) from error
        self._save(record, is_due=False)

    def _bad_as_published(self, state: FileState, error: DamagedMemberError) -> DataError:
        return DataError(
            f"{error.message}; the archive is what its owners published "
            f"({state.expected.integrity} is right), so they published it damaged",
            f"It is kept; no other copy will be better. Tell its owners at {self._source.page}; "
            f"once they have mended it: vtk download {self._source.name} --update",
        )

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

    def _unpack(self, record: Record, state: FileState, path: Path, needed: Needed | None) -> None:
        rule = self._source.archive_rule(state.path)
        if rule is None:
            raise ValueError(f"{state.path} is no archive")
        group = archive_groups(self._source, record)[rule.into]
        with self._unpacking[rule.into]:
            owners, given = owned_before(group, state), Counter[str]()

            def is_owned(target: str) -> bool:
                given.update([owners[target]] if target in owners else [])
                return target in owners

            members = unpack(
                path,
                self._root,
                partial(member_target, rule),
                None if needed is None else needed.targets(),
                reserved=frozenset(each.target for each in record.files.values()),
                is_owned=is_owned,
                on_bytes=partial(self._watch.on_bytes, f"{state.path}: unpacking"),
                is_cancelled=self._cancelled.is_set,
            )
            state.members, state.selection = members, self._selection
            state.is_kept = self._wishes.is_keeping
            for owner, num_files in given.items():
                self._tell_shared(state.path, owner, num_files)
            for other, num_files in take_over(group, state).items():
                self._tell_shared(other, state.path, num_files)
            self._save(record)  # before the archive goes
        if not state.is_kept:
            path.unlink()

    def _tell_shared(self, path: str, owner: str, num_files: int) -> None:
        note = f"{format_count(num_files)} files that {owner} has as well are taken from that"
        self._watch.on_note(path, note)

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

    def _result(self, record: Record) -> Got:
        root = link_snapshot(record) if self._source.kind == "model" else self._root
        return got_from(record, self._source.name, root, is_new=self._is_new)


def _fault_finder(name: str) -> Callable[[Path], str | None]:
    return lambda path: format_fault(path, name)
