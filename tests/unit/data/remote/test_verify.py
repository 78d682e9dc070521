"""`vtk download NAME --verify` while a download of the same data set goes on."""

import threading
from typing import TYPE_CHECKING

from tests.reliability.publishers import publish_clevrer
from tests.reliability.web import Site
from vtk.data.remote.record import Record
from vtk.data.remote.sources import SOURCES
from vtk.data.remote.verify import verify_source
from vtk.net.claim import claimed

if TYPE_CHECKING:
    from tests.unit.data.remote.conftest import Cli

WAIT_S = 30


def test_verify_waits_for_a_download_and_reads_what_that_recorded(site: Site, cli: "Cli") -> None:
    publish_clevrer(site)
    assert cli("clevrer", "--mirror", site.url) == 0
    source, root = SOURCES["clevrer"], cli.data_dir / "clevrer"
    waits, told, found = threading.Event(), list[str](), list[tuple[Record, dict[str, str]]]()

    def wait(owner: str) -> None:
        told.append(owner)
        waits.set()

    def verify() -> None:
        totals: list[int] = []
        found.append(verify_source(source, cli.data_dir, wait, totals.append, lambda: None))
        assert totals == [10]

    with claimed(root / "download.json.owner", lambda: False):
        thread = threading.Thread(target=verify)
        thread.start()
        assert waits.wait(WAIT_S)
        record = Record.load(root)
        assert record is not None
        record.missing = ["videos/train/what-the-download-found.mp4"]
        record.save(source.name, source.licence)
    thread.join(WAIT_S)
    ((_, damage),) = found
    assert damage == {}
    assert told[0].startswith("process ")
    after = Record.load(root)
    assert after is not None
    assert after.missing == ["videos/train/what-the-download-found.mp4"]
    assert not (root / "download.json.owner").exists()
