"""How large a source is, as its server lists it: asked before the first byte is fetched."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from vtk.data.remote.plan import make_plan
from vtk.data.remote.sources import Source
from vtk.errors import NetworkError
from vtk.net.hub import hub_endpoint, hub_token
from vtk.net.patience import Patience
from vtk.net.session import Session, TokenFor
from vtk.net.transfer import Transfer

_ONE_TRY: Final = Patience(num_retries=0, connect_s=5.0, stall_s=5.0, unreachable_s=5.0)


class _Silence:
    """Tells nobody: the listing is small."""

    def on_bytes(self, name: str, num_bytes: int, total_bytes: int | None) -> None:
        """Nothing."""

    def on_note(self, name: str, note: str) -> None:
        """Nothing."""


def listed_bytes(source: Source) -> int | None:
    """The size of a source's wanted files; None where no server can be asked.

    Raises:
        AccessError: The server refuses.
        DataError: It does not have the source, or not what is wanted of it.
    """
    auth = TokenFor(hub_endpoint(None), hub_token(None))
    session = Session(auth, _ONE_TRY.connect_s, _ONE_TRY.stall_s)
    transfer = Transfer(session, _ONE_TRY, _Silence(), threading.Event())
    try:
        with TemporaryDirectory(prefix="vtk-listing-") as folder:
            record = make_plan(source, Path(folder), None, session, transfer)
    except NetworkError:
        return None  # said as "unknown size"; the download tries again, and tells why it fails
    finally:
        session.close()
    return sum(state.planned_bytes for state in record.files.values())
