"""One file over real connections that break, stall, lie and change their mind."""

import hashlib
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.reliability.web import HONEST, Request, Site, Trick, serving
from vtk.errors import AccessError, DataError, NetworkError
from vtk.net.content import Expected
from vtk.net.session import _refuse_downgrade
from vtk.net.transfer import Cancelled

if TYPE_CHECKING:
    from tests.unit.net.conftest import Client

CONTENT = random.Random(1).randbytes(3_000_000)
OTHER = random.Random(2).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HASHED = Expected(len(CONTENT), sha256=SHA256)


def in_turn(*tricks: Trick) -> Callable[[Request], Trick]:
    """A trick for each request; the last one for all that follow."""
    return lambda request: tricks[min(request.number, len(tricks) - 1)]


def ranges(requests: Iterable[Request]) -> list[int]:
    return [request.start for request in requests]


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(client: "Client") -> None:
    fetched = client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert (fetched.num_bytes, fetched.sha256) == (len(CONTENT), SHA256)
    assert (fetched.integrity, fetched.is_new) == ("structural only", True)
    assert client.watcher.last["file.zip"] == (len(CONTENT), len(CONTENT))
    assert client.leftovers() == set()


def test_a_file_that_is_here_is_checked_and_not_fetched(client: "Client", site: Site) -> None:
    client.expected = HASHED
    assert client.fetch().is_new
    assert not client.fetch().is_new
    assert len(site.requests) == 1
    client.target.write_bytes(OTHER)
    assert client.fetch().is_new
    assert client.target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "trick",
    [
        Trick(cut_at=2_000_000),
        Trick(cut_at=2_000_000, is_reset=True),
        Trick(cut_at=2_000_000, headers={"Content-Length": None, "Connection": "close"}),
        Trick(stall_at=2_000_000),
    ],
    ids=["ends", "reset", "ends without a length", "stalls"],
)
def test_a_broken_connection_is_gone_on_with(client: "Client", site: Site, trick: Trick) -> None:
    client.expected = HASHED
    site.trick = in_turn(trick, HONEST)
    assert client.fetch().sha256 == SHA256
    first, second = site.requests
    assert first.start == 0
    # A reset throws away what the client had not read yet.
    assert 0 < second.start <= 2_000_000 if trick.is_reset else second.start == 2_000_000


def test_without_a_hash_a_strong_validator_guards_the_rest(client: "Client", site: Site) -> None:
    site.trick = in_turn(Trick(cut_at=2_000_000), HONEST)
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert ranges(site.requests) == [0, 2_000_000]
    assert site.requests[1].headers["if-range"].startswith('"')


@pytest.mark.parametrize("etag", ["", 'W/"weak"'], ids=["no validator", "weak validator"])
def test_without_hash_and_strong_validator_all_is_fetched_again(
    client: "Client", site: Site, etag: str
) -> None:
    site.etags["/file.zip"] = etag
    site.trick = in_turn(Trick(cut_at=2_000_000), HONEST)
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert ranges(site.requests) == [0, 0]


def test_a_file_that_changes_on_the_server_is_never_spliced(client: "Client", site: Site) -> None:
    def change(request: Request) -> Trick:
        if request.number == 1:
            site.files["/file.zip"] = OTHER
            site.etags["/file.zip"] = '"new"'
        return Trick(cut_at=2_000_000) if request.number == 0 else HONEST

    site.trick = change
    client.fetch()
    assert client.target.read_bytes() == OTHER


@pytest.mark.parametrize(
    "trick",
    [
        Trick(ignore_range=True),
        Trick(headers={"Content-Range": "bytes 5-2999999/3000000"}),
        Trick(headers={"Content-Range": None}),
        Trick(headers={"ETag": '"another"'}),
        Trick(status=416, headers={"Content-Range": "bytes */17"}),
    ],
    ids=["200", "another start", "no range said", "another version", "416"],
)
def test_wrong_answers_to_a_range_start_over(client: "Client", site: Site, trick: Trick) -> None:
    site.trick = in_turn(Trick(cut_at=2_000_000), trick, HONEST)
    client.fetch()
    assert client.target.read_bytes() == CONTENT


def test_a_part_that_is_complete_needs_no_more_bytes(client: "Client", site: Site) -> None:
    """The length was wrong, so all arrived and the client cannot know it: the server says 416."""
    lie = Trick(headers={"Content-Length": str(len(CONTENT) + 5)}, cut_at=None)
    site.trick = in_turn(lie, HONEST)
    client.patience = replace(client.patience, stall_s=0.2)
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert site.requests[1].start == len(CONTENT)


@pytest.mark.parametrize("expected", [Expected(), HASHED], ids=["unknown", "hashed"])
def test_a_compressed_answer_is_unpacked(client: "Client", site: Site, expected: Expected) -> None:
    client.expected = expected
    site.trick = in_turn(Trick(is_gzipped=True))
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert site.requests[0].headers["accept-encoding"] == "identity"


def test_chunks_without_a_length_that_end_early_are_noticed(client: "Client", site: Site) -> None:
    site.trick = in_turn(Trick(is_chunked=True, cut_at=1_000_000), Trick(is_chunked=True))
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert len(site.requests) == 2


def test_a_server_that_dribbles_is_left(client: "Client", site: Site) -> None:
    client.patience = replace(client.patience, slowest_bytes_per_s=1e6)
    site.trick = in_turn(Trick(bytes_per_s=20_000), HONEST)
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert any("only" in note and "bytes in" in note for note in client.watcher.notes)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_never_undercut(client: "Client", site: Site, status: int) -> None:
    waits: list[float] = []

    class Cancelled(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            return False

    client.cancelled = Cancelled()
    site.trick = in_turn(Trick(status=status, headers={"Retry-After": "7"}), HONEST)
    client.fetch()
    assert waits == [7.0]
    assert client.target.read_bytes() == CONTENT


def test_an_absurd_retry_after_is_told_and_not_waited_for(client: "Client", site: Site) -> None:
    site.trick = in_turn(Trick(status=503, headers={"Retry-After": "86400"}))
    with pytest.raises(NetworkError, match="asks to wait 1 d"):
        client.fetch()


def test_pauses_double_and_failures_without_progress_end_it(client: "Client", site: Site) -> None:
    site.trick = in_turn(Trick(status=500))
    with pytest.raises(NetworkError, match="4 times in a row") as caught:
        client.fetch()
    assert len(site.requests) == 4
    assert "repeat the command: it goes on" in str(caught.value.hint)
    assert not client.target.exists()


def test_progress_resets_the_count_of_failures(client: "Client", site: Site) -> None:
    site.trick = in_turn(Trick(cut_at=300_000))
    client.expected = HASHED
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert len(site.requests) == 10


def test_a_server_that_starts_over_for_ever_is_left(client: "Client", site: Site) -> None:
    def change(request: Request) -> Trick:
        site.etags["/file.zip"] = f'"{request.number}"'
        return Trick(cut_at=1_000_000)

    site.trick = change
    with pytest.raises(NetworkError, match="4 times in a row"):
        client.fetch()
    assert len(site.requests) == 4, "only the first brought the file further"


@pytest.mark.parametrize(
    ("trick", "said"),
    [
        (Trick(body=b"<html>", headers={"Content-Type": "text/html"}), "web page"),
        (Trick(status=302, headers={"Location": "/file.zip"}), "circle"),
        (Trick(headers={"Content-Length": "17"}, cut_at=17), "offers 17 bytes"),
    ],
    ids=["captive portal", "redirect loop", "wrong length"],
)
def test_what_is_not_the_file_is_never_kept(
    client: "Client", site: Site, trick: Trick, said: str
) -> None:
    client.expected = HASHED
    site.trick = in_turn(trick)
    with pytest.raises(NetworkError, match=said):
        client.fetch()
    assert not client.target.exists()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_not_tried_again_and_says_the_mend(
    client: "Client", site: Site, status: int
) -> None:
    site.trick = in_turn(Trick(status=status))
    with pytest.raises(AccessError) as caught:
        client.fetch(mend_access="agree here")
    assert caught.value.hint == "agree here"
    assert len(site.requests) == 1


def test_a_missing_file_is_not_tried_again(client: "Client", site: Site) -> None:
    site.trick = in_turn(Trick(status=404))
    with pytest.raises(DataError, match="is not there"):
        client.fetch()
    assert len(site.requests) == 1


def damaged(seed: int) -> bytes:
    """The content with one bit flipped, a block zeroed, or two blocks swapped."""
    draw = random.Random(seed)
    at = draw.randrange(len(CONTENT) - 8192)
    if seed % 3 == 0:
        return CONTENT[:at] + bytes([CONTENT[at] ^ 1 << draw.randrange(8)]) + CONTENT[at + 1 :]
    if seed % 3 == 1:
        return CONTENT[:at] + bytes(4096) + CONTENT[at + 4096 :]
    return (
        CONTENT[:at]
        + CONTENT[at + 4096 : at + 8192]
        + CONTENT[at : at + 4096]
        + CONTENT[at + 8192 :]
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_copy_of_the_same_size_is_noticed_and_replaced(
    client: "Client", site: Site, seed: int
) -> None:
    client.expected = HASHED
    site.trick = in_turn(Trick(body=damaged(seed)), HONEST)
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert any("arrived damaged" in note for note in client.watcher.notes)


def test_a_server_with_only_damaged_copies_is_an_error_of_the_data(
    client: "Client", site: Site
) -> None:
    client.expected = HASHED
    site.trick = in_turn(Trick(body=damaged(0)))
    with pytest.raises(DataError, match="arrived damaged 2 times: its sha256 is"):
        client.fetch()
    assert list(client.folder.iterdir()) == []


def test_the_formats_own_check_counts_where_there_is_no_hash(client: "Client", site: Site) -> None:
    site.trick = in_turn(Trick(body=b"x" * 100), HONEST)
    client.find_fault = lambda path: None if path.stat().st_size > 100 else "too short"
    client.fetch()
    assert client.target.read_bytes() == CONTENT


def test_git_hashes_are_checked_too(client: "Client", site: Site) -> None:
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    client.expected = Expected(len(CONTENT), git_sha1=blob)
    site.trick = in_turn(Trick(body=damaged(0)), HONEST)
    assert client.fetch().integrity == "git-sha1"
    assert client.target.read_bytes() == CONTENT


def test_a_token_is_sent_to_its_server_only(client: "Client", site: Site, tmp_path: Path) -> None:
    store = Site({"/blob": CONTENT})
    with serving(store) as elsewhere:
        client.token = "hf_secret"
        target = elsewhere.replace("127.0.0.1", "localhost")
        site.trick = in_turn(Trick(status=302, headers={"Location": f"{target}/blob"}))
        client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert site.requests[0].headers["authorization"] == "Bearer hf_secret"
    assert "authorization" not in store.requests[0].headers
    client.origin = "http://example.org"
    client.target.unlink()
    site.trick = in_turn(HONEST)
    client.fetch()
    assert "authorization" not in site.requests[-1].headers


def test_a_redirect_from_https_to_http_is_refused() -> None:
    response = requests.Response()
    response.status_code, response.url = 302, "https://safe.example/file"
    response.headers["Location"] = "http://open.example/file"
    with pytest.raises(NetworkError, match="from https to http"):
        _refuse_downgrade(response)
    response.headers["Location"] = "https://other.example/file"
    _refuse_downgrade(response)


def test_a_call_off_keeps_what_arrived(client: "Client", site: Site) -> None:
    client.expected = HASHED

    def stop(name: str, num_bytes: int, total: int | None) -> None:
        if num_bytes > 1_500_000:
            client.cancelled.set()

    client.watcher.on_bytes = stop  # type: ignore[method-assign, assignment]
    with pytest.raises(Cancelled):
        client.fetch()
    assert client.leftovers() == {"file.zip.part", "file.zip.part.json"}
    client.cancelled.clear()
    client.watcher.on_bytes = lambda *_: None  # type: ignore[method-assign]
    client.fetch()
    assert client.target.read_bytes() == CONTENT
    assert site.requests[1].start >= 1_500_000


def test_no_server_is_a_network_error(client: "Client", tmp_path: Path) -> None:
    with serving(Site()) as url:
        pass
    with pytest.raises(NetworkError, match="cannot be reached"):
        client.fetch(url=f"{url}/file.zip")


def test_a_network_that_never_answered_is_given_up_soon(client: "Client") -> None:
    client.patience = replace(client.patience, num_retries=1000, unreachable_s=0.1)
    client.site.url = "http://127.0.0.1:9"
    with pytest.raises(NetworkError, match="not one answer came") as caught:
        client.fetch()
    assert all(word in str(caught.value.hint) for word in ("offline", "HTTPS_PROXY", "--mirror"))
    assert 0 < len(client.watcher.notes) < 20


def test_a_server_that_once_answered_gets_all_the_patience(client: "Client", site: Site) -> None:
    client.patience = replace(client.patience, num_retries=4, unreachable_s=0.0)
    site.trick = in_turn(Trick(cut_at=2_000_000), Trick(status=503))
    with pytest.raises(NetworkError, match="5 times in a row"):
        client.fetch()
    assert len(site.requests) == 5
