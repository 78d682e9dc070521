"""`vtk download NAME` from a loopback server that publishes as the owners do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest

from tests.reliability.publishers import (
    clip_bytes,
    files_below,
    make_zip,
    publish_clevrer,
    publish_holmes,
    publish_model,
)
from tests.reliability.web import HONEST, Request, Site, Trick
from vtk.data.benchmarks.video_mme import places
from vtk.data.remote.sources import SOURCES

if TYPE_CHECKING:
    from tests.unit.data.remote.conftest import Cli

AGREE = "--accept-licence"


def test_clevrer_lies_as_the_split_reads_it_and_only_what_is_needed(site: Site, cli: "Cli") -> None:
    wanted = publish_clevrer(site)
    assert cli("clevrer", "--mirror", site.url) == 0
    root = cli.data_dir / "clevrer"
    assert files_below(root) == wanted
    assert (root / "videos/validation/video_10000-11000/video_10000.mp4").is_file()
    assert "6 structural only" in cli.err
    assert "CC0-1.0" in cli.err
    num_requests = len(site.requests)
    assert cli("clevrer", "--mirror", site.url, "--json") == 0
    assert not cli.document[0]["is_new"]
    assert len(site.requests) == num_requests, "what is complete asks nobody"


def test_everything_unpacks_what_no_question_names(site: Site, cli: "Cli") -> None:
    publish_clevrer(site)
    assert cli("clevrer", "--mirror", site.url) == 0
    assert cli("clevrer", "--mirror", site.url, "--everything", "--keep-archives") == 0
    root = cli.data_dir / "clevrer"
    assert len(list(root.glob("videos/*/*/*.mp4"))) == 7
    assert (root / "videos/train/video_train.zip").is_file()


def test_a_hub_data_set_is_pinned_hashed_and_agreed_to(site: Site, cli: "Cli") -> None:
    wanted = publish_holmes(site)
    assert cli("video-holmes") == 2
    assert "Academic purposes only" in cli.err
    assert "--accept-licence" in cli.err
    assert site.requests == []
    assert cli("video-holmes", AGREE) == 0
    root = cli.data_dir / "video-holmes"
    assert files_below(root) == wanted
    record = json.loads((root / "download.json").read_text())
    assert record["revision"] == "c0ffee" * 6 + "0000"
    assert record["complete"]
    assert record["agreed"].startswith("20")
    files = {entry["path"]: entry for entry in record["files"]}
    assert set(files) == {"test_Video-Holmes.json", "videos.zip"}, "the training part stays out"
    assert files["videos.zip"]["integrity"] == "sha256"
    assert files["test_Video-Holmes.json"]["integrity"] == "git-sha1"
    assert cli("video-holmes") == 0, "who agreed is not asked again"


def test_all_benchmarks_have_the_layout_that_evaluation_reads(site: Site, cli: "Cli") -> None:
    clips = [clip_bytes(number, 2000) for number in range(8)]
    parquet = _parquet({"videoID": ["aB-c", "d_e"]})
    repositories = {
        "mmvu": {"validation.json": b"[]", "videos/Art/0.mp4": clips[0], "test.json": b"[]"},
        "mvbench": {
            "json/action_count.json": b"[]",
            "video/perception.zip": make_zip({"perception/videos/v.mp4": clips[1]}),
            "video/tvqa.zip": make_zip({"tvqa/frames_fps3_hq/s/00001.jpg": b"jpg"}),
            "video/data0613.zip": make_zip({"data0613/star/Charades_v1_480/x.mp4": clips[2]}),
        },
        "tempcompass": {
            "yes_no/test-00000-of-00001.parquet": parquet,
            "tempcompass_videos.zip": make_zip({"videos/9.mp4": clips[3], "__MACOSX/._9": b""}),
        },
        "video-mme": {
            "videomme/test-00000-of-00001.parquet": parquet,
            "videos_chunked_01.zip": make_zip({"data/aB-c.mp4": clips[4], "data/no.mp4": b"x"}),
            "videos_chunked_02.zip": make_zip({"data/d_e.mp4": clips[5]}),
            "subtitle.zip": make_zip({"subtitle/aB-c.srt": b"1", "subtitle/no.srt": b"2"}),
        },
    }
    for name, files in repositories.items():
        site.add_repository("dataset", SOURCES[name].repo, files)
    assert cli(*repositories, AGREE, "--json") == 0
    assert [each["missing"] for each in cli.document] == [[], [], [], []]
    found = {name: set(files_below(cli.data_dir / name)) for name in repositories}
    assert found == {
        "mmvu": {"validation.json", "videos/Art/0.mp4"},
        "mvbench": {
            "json/action_count.json",
            "video/perception/videos/v.mp4",
            "video/tvqa/frames_fps3_hq/s/00001.jpg",
            "video/star/Charades_v1_480/x.mp4",
        },
        "tempcompass": {"yes_no/test-00000-of-00001.parquet", "videos/9.mp4"},
        "video-mme": {
            "videomme/test-00000-of-00001.parquet",
            "videos/aB-c.mp4",
            "videos/d_e.mp4",
            "subtitle/aB-c.srt",
        },
    }


def _parquet(columns: dict[str, list[str]]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())


def test_a_model_lies_where_its_hub_id_is_looked_up(site: Site, cli: "Cli", tmp_path: Path) -> None:
    files = publish_model(site)
    assert cli("videothinker-r1", AGREE, "--json") == 0
    found = huggingface_hub.snapshot_download(
        SOURCES["videothinker-r1"].repo, cache_dir=tmp_path / "hub", local_files_only=True
    )
    assert found == cli.document[0]["path"]
    assert {path.name: path.read_bytes() for path in Path(found).iterdir()} == files
    assert cli("--list", "--json") == 0
    listed = {each["name"]: each for each in cli.document}
    assert (listed["videothinker-r1"]["present"], listed["videothinker-r1"]["complete_frac"]) == (
        True,
        1.0,
    )


def test_clips_that_questions_name_and_nobody_has_are_told(site: Site, cli: "Cli") -> None:
    publish_clevrer(site)
    clip = "video_00000-01000/video_00000.mp4"
    site.files["/videos/train/video_train.zip"] = make_zip({clip: clip_bytes(0)})
    assert cli("clevrer", "--mirror", site.url) == 0
    assert "clips that questions name and no archive has: 1" in cli.err
    assert "video_00002.mp4" in cli.err


def test_clips_of_video_mme_are_unpacked_by_whatever_ending_evaluation_finds(
    site: Site, cli: "Cli"
) -> None:
    names = {"a": ".mp4", "b": ".MP4", "c": ".mkv"}
    clips = {f"data/{name}{ending}": clip_bytes(1) for name, ending in names.items()}
    site.add_repository(
        "dataset",
        SOURCES["video-mme"].repo,
        {
            "videomme/test-0.parquet": _parquet({"videoID": [*names, "lost"]}),
            "videos_chunked_01.zip": make_zip({**clips, "data/no.mkv": b"x"}),
            "subtitle.zip": make_zip({"subtitle/a.srt": b"1"}),
        },
    )
    assert cli("video-mme", AGREE, "--json") == 0
    root = cli.data_dir / "video-mme"
    assert {path.name for path in (root / "videos").iterdir()} == {"a.mp4", "b.MP4", "c.mkv"}
    assert all(any((root / at).is_file() for at in places(name)) for name in names)
    assert cli.document[0]["missing"] == ["videos/lost.mp4"]


def corrupt_once(site: Site, ending: str) -> Callable[[Request], Trick]:
    """The first answer for a path has one wrong byte in its middle."""
    seen: list[str] = []

    def trick(request: Request) -> Trick:
        if request.method == "GET" and request.path.endswith(ending) and not seen:
            seen.append(request.path)
            content = bytearray(site.files[request.path])
            content[len(content) // 2] ^= 1
            return Trick(body=bytes(content))
        return HONEST

    return trick


def test_a_damaged_archive_without_a_hash_is_found_by_its_members_and_fetched_again(
    site: Site, cli: "Cli"
) -> None:
    wanted = publish_clevrer(site)
    site.trick = corrupt_once(site, "video_train.zip")
    assert cli("clevrer", "--mirror", site.url) == 0
    assert "arrived damaged" in cli.err
    assert files_below(cli.data_dir / "clevrer") == wanted
    assert len(site.gets("video_train.zip")) == 2


def test_a_web_page_in_place_of_an_archive_is_not_kept(site: Site, cli: "Cli") -> None:
    publish_clevrer(site)
    page = b"<html>Log in to the hotel's network</html>"
    site.files["/videos/train/video_train.zip"] = page
    assert cli("clevrer", "--mirror", site.url) == 4
    assert "no whole zip archive" in cli.err
    site.trick = lambda request: (
        Trick(headers={"Content-Type": "text/html"}) if "video_train" in request.path else HONEST
    )
    assert cli("clevrer", "--mirror", site.url) == 7
    assert "a web page instead of the file" in cli.err


def test_a_hostile_archive_is_refused_and_nothing_of_it_is_unpacked(site: Site, cli: "Cli") -> None:
    publish_clevrer(site)
    bad = make_zip({"video_00000-01000/video_00000.mp4": b"x", "../../evil.mp4": b"x"})
    site.files["/videos/train/video_train.zip"] = bad
    assert cli("clevrer", "--mirror", site.url) == 4
    assert "its member '../../evil.mp4' is refused: it climbs with '..'" in cli.err
    assert not list((cli.data_dir / "clevrer/videos/train").glob("**/*.mp4"))


def _listing(**changes: object) -> bytes:
    entry = {"rfilename": "videos.zip", "size": 5, "blobId": "0" * 40, **changes}
    return json.dumps({"sha": "c" * 40, "siblings": [entry]}).encode()


@pytest.mark.parametrize(
    ("trick", "code", "said"),
    [
        (Trick(status=401), 8, "HF_TOKEN"),
        (Trick(status=403, headers={"X-Error-Code": "GatedRepo"}), 8, "agree to the terms"),
        (Trick(status=404, headers={"X-Error-Code": "RepoNotFound"}), 4, "be private"),
        (Trick(status=503), 7, "answers 503, 2 times in a row"),
        (Trick(status=429, headers={"Retry-After": "0"}), 7, "answers 429"),
        (Trick(cut_at=3), 7, "the connection broke"),
        (Trick(body=b"<html>", headers={"Content-Type": "text/html"}), 7, "a web page"),
        (Trick(body=b"not json"), 4, "no whole JSON text"),
        (Trick(body=b'{"sha": "main", "siblings": []}'), 4, "names no commit or no files"),
        (Trick(body=b'{"sha": 5, "siblings": [5]}'), 4, "listing cannot be used"),
        (Trick(body=_listing(size=-1)), 4, "a file has the size -1"),
        (Trick(body=_listing(blobId="../../etc/passwd")), 4, "a file has the hash"),
    ],
)
def test_a_hub_that_gives_no_listing_is_told_with_the_mend(
    site: Site, cli: "Cli", trick: Trick, code: int, said: str
) -> None:
    publish_holmes(site)
    site.trick = lambda request: trick if "/api/datasets" in request.path else HONEST
    assert cli("video-holmes", AGREE) == code
    assert said in cli.err
    assert cli.err.count("Error: ") == 1
    assert "Hint: " in cli.err


@pytest.mark.parametrize("is_told", [True, False], ids=["length told", "endless"])
def test_a_listing_that_would_fill_the_memory_is_refused(
    site: Site, cli: "Cli", monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    publish_holmes(site)
    monkeypatch.setattr("vtk.data.remote.plan.MAX_LISTING_BYTES", 3 << 20)
    long = Trick(body=b"{" + bytes(5 << 20) + b"}", is_chunked=not is_told)
    site.trick = lambda request: long if "/api/datasets" in request.path else HONEST
    assert cli("video-holmes", AGREE) == 4
    assert "is longer than 3.0 MiB" in cli.err
    assert "Check --mirror and HF_ENDPOINT" in cli.err
    assert len(site.gets()) == 1, "and not asked for again"
    assert files_below(cli.data_dir) == {}


@pytest.mark.parametrize(
    "path", ["videos/../../evil.mp4", "videos//evil.mp4", "videos/\\..\\evil.mp4", "videos/\0evil"]
)
def test_a_listing_that_leads_out_of_the_folder_is_refused(
    site: Site, cli: "Cli", tmp_path: Path, path: str
) -> None:
    files = {"validation.json": b"[]", "videos/a.mp4": b"x"}
    site.add_repository("dataset", SOURCES["mmvu"].repo, files)
    for name, listing in site.files.items():
        if name.startswith("/api/"):
            facts = json.loads(listing)
            facts["siblings"][1]["rfilename"] = path
            site.files[name] = json.dumps(facts).encode()
    assert cli("mmvu", AGREE) == 4
    assert len(site.gets()) == 1, "only the listing"
    assert not list(tmp_path.rglob("evil*"))


def test_a_token_goes_to_the_hub_and_not_to_a_mirror(site: Site, cli: "Cli") -> None:
    publish_holmes(site)
    assert cli("video-holmes", AGREE) == 0
    sent = [each.headers.get("authorization") for each in site.gets(".zip")]
    assert sent == ["Bearer hf_secret"]
    shutil.rmtree(cli.data_dir)
    site.requests.clear()
    assert cli("video-holmes", AGREE, "--mirror", site.url) == 0
    assert all("authorization" not in each.headers for each in site.requests)


def test_an_upstream_change_is_taken_only_when_asked_for(site: Site, cli: "Cli") -> None:
    publish_holmes(site)
    assert cli("video-holmes", AGREE) == 0
    newer = {"test_Video-Holmes.json": b'[{"video ID": "new"}]'}
    clips = {"videos/0.mp4": clip_bytes(0)}
    site.add_repository(
        "dataset",
        SOURCES["video-holmes"].repo,
        {**newer, "videos.zip": make_zip(clips)},
        revision="beef" * 10,
    )
    questions = cli.data_dir / "video-holmes/test_Video-Holmes.json"
    assert cli("video-holmes") == 0
    assert questions.read_bytes() == b'[{"video ID": "0"}]'
    assert cli("video-holmes", "--update", "--json") == 0
    assert cli.document[0]["revision"] == "beef" * 10
    assert questions.read_bytes() == newer["test_Video-Holmes.json"]


def test_an_interrupted_download_keeps_to_its_version(site: Site, cli: "Cli") -> None:
    wanted = publish_holmes(site)
    site.trick = lambda each: Trick(status=500) if each.path.endswith(".zip") else HONEST
    assert cli("video-holmes", AGREE) == 7
    site.add_repository(
        "dataset", SOURCES["video-holmes"].repo, {"videos.zip": b""}, revision="beef" * 10
    )
    site.trick = lambda _request: HONEST
    assert cli("video-holmes") == 0
    assert files_below(cli.data_dir / "video-holmes") == wanted
