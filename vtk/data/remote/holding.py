"""One process at a time writes in a source's folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vtk.data.remote.record import RECORD_NAME
from vtk.data.remote.sources import Source
from vtk.errors import DataError
from vtk.net.claim import Claim, LostClaimError, claimed


@contextmanager
def holding(
    source: Source,
    root: Path,
    is_cancelled: Callable[[], bool],
    on_wait: Callable[[str], None],
) -> Iterator[Claim]:
    """Hold the claim on a source's folder within the block; waits for whoever holds it.

    Args:
        source: What lies there.
        root: The folder; it is made.
        is_cancelled: Asked while waiting.
        on_wait: Told once who holds it.

    Raises:
        DataError: Another process took it over.
        VtkError: The folder cannot be written.
    """
    try:
        with claimed(root / f"{RECORD_NAME}.owner", is_cancelled, on_wait) as claim:
            yield claim
    except LostClaimError as error:
        raise DataError(
            f"another process took {source.name} over", "Repeat the command: it goes on."
        ) from error
