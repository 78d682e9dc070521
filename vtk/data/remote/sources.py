"""Where the data sets and models that are fetched come from, and what may be done with them.

Layouts and licences are those of the owners' own pages, named in `page`. Sizes are for planning
only: what is fetched is what the server lists. Archives' inner layouts: VLMEvalKit
(vlmeval/dataset/{mvbench,tempcompass,videomme}.py) for the Hub's, http://clevrer.csail.mit.edu for
CLEVRER's; members are found by their names, so that another outer folder changes nothing.
"""

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from vtk.data.registry import DATASETS
from vtk.errors import ConfigError
from vtk.hints import folder_options, nearest_hint
from vtk.net.hub import RepoKind

Layout = Literal["tree", "flat", "clevrer"]
VIDEO_SUFFIXES = (".mp4", ".webm", ".avi", ".mkv", ".mov")


@dataclass(frozen=True, slots=True)
class ArchiveRule:
    """Which files are archives, and where their members go.

    Attributes:
        pattern: Of the archive's path; `*` matches any text.
        into: Folder of the members, relative to the data set's.
        layout: `tree` keeps the folders of the archive, `flat` leaves them out, `clevrer` makes
            CLEVRER's folders of a thousand scenes.
        suffixes: With `flat`, the members that are wanted at all.
        strip: With `tree`, a leading folder that is left out.
        ratio: Unpacked to packed size, for planning.
        is_supplement: What another archive of the same folder has as well is taken from that one.
    """

    pattern: str
    into: str
    layout: Layout = "flat"
    suffixes: tuple[str, ...] = VIDEO_SUFFIXES
    strip: str = ""
    ratio: float = 1.0
    is_supplement: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A data set or a model that others publish.

    Attributes:
        name: How commands and folders call it.
        kind: `dataset` or `model`.
        title: One sentence.
        licence: Its terms, by name.
        use: What they allow, in words.
        must_agree: Whether the user has to agree before anything is fetched.
        page: Where a person reads about it.
        about_bytes: Its size; None if only its server knows.
        repo: On the Hugging Face Hub; empty for files on a web server.
        base_url: Of a web server; empty for the Hub.
        patterns: Of the wanted files of the repository, or the very files below `base_url`. Each
            must match something.
        archives: What of them is unpacked.
        questions: Files that name the clips, if only those are unpacked by default.
    """

    name: str
    kind: RepoKind
    title: str
    licence: str
    use: str
    must_agree: bool
    page: str
    about_bytes: int | None
    repo: str = ""
    base_url: str = ""
    patterns: tuple[str, ...] = ()
    archives: tuple[ArchiveRule, ...] = ()
    questions: str = ""

    def archive_rule(self, path: str) -> ArchiveRule | None:
        """How a file is unpacked; None if it is not an archive."""
        return next((rule for rule in self.archives if fnmatchcase(path, rule.pattern)), None)


_GB = 10**9
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja")
"""What of a model's repository is fetched: weights that run no code, settings, tokenizer."""

_RESEARCH = "Qwen Research License"
_NON_COMMERCIAL = "Research and evaluation, not commercial."


def _model(name: str, repo: str, title: str, licence: str) -> Source:
    return Source(
        name=name,
        kind="model",
        title=title,
        licence=licence,
        use=_NON_COMMERCIAL,
        must_agree=True,
        page=f"https://huggingface.co/{repo}",
        about_bytes=int(7.5 * _GB),
        repo=repo,
        patterns=MODEL_FILES,
    )


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            name="clevrer",
            kind="dataset",
            title="Colliding objects, with causal questions; 15,000 clips are annotated.",
            licence="CC0-1.0",
            use="Anything.",
            must_agree=False,
            page="http://clevrer.csail.mit.edu",
            about_bytes=19 * _GB,
            base_url="https://data.csail.mit.edu/clevrer",
            patterns=(
                "questions/train.json",
                "questions/validation.json",
                "annotations/train/annotation_train.zip",
                "annotations/validation/annotation_validation.zip",
                "videos/train/video_train.zip",
                "videos/validation/video_validation.zip",
            ),
            archives=(
                *(
                    ArchiveRule(f"{kind}/{part}/*.zip", f"{kind}/{part}", "clevrer", ratio=ratio)
                    for part in ("train", "validation")
                    for kind, ratio in (("annotations", 12.0), ("videos", 1.0))
                ),
            ),
            questions="questions/*.json",
        ),
        Source(
            name="mmvu",
            kind="dataset",
            title="Expert questions of 27 subjects; 1,000 of them public.",
            licence="none declared",
            use="Nothing is granted: evaluation as its authors describe it, no redistribution.",
            must_agree=True,
            page="https://huggingface.co/datasets/yale-nlp/MMVU",
            about_bytes=int(0.9 * _GB),
            repo="yale-nlp/MMVU",
            patterns=("validation.json", "videos/*"),
        ),
        Source(
            name="video-holmes",
            kind="dataset",
            title="1,837 questions on 270 suspense films that need several clues at once.",
            licence="Apache-2.0, clips of their owners",
            use="Academic purposes only.",
            must_agree=True,
            page="https://huggingface.co/datasets/TencentARC/Video-Holmes",
            about_bytes=5 * _GB,
            repo="TencentARC/Video-Holmes",
            patterns=("test_Video-Holmes.json", "videos.zip"),
            archives=(ArchiveRule("videos.zip", "videos"),),
        ),
        Source(
            name="mvbench",
            kind="dataset",
            title="20 temporal tasks of 200 questions on clips of eleven data sets.",
            licence="MIT, clips of their owners",
            use="The questions: anything. The clips: academic research, as their eleven data sets "
            "say; the Hub asks who you are first, so log in (HF_TOKEN).",
            must_agree=False,
            page="https://huggingface.co/datasets/OpenGVLab/MVBench",
            about_bytes=int(17.3 * _GB),
            repo="OpenGVLab/MVBench",
            patterns=("json/*.json", "video/*.zip"),
            archives=(
                ArchiveRule(
                    "video/data0613.zip", "video", "tree", strip="data0613/", is_supplement=True
                ),
                ArchiveRule("video/*.zip", "video", "tree"),
            ),
        ),
        Source(
            name="tempcompass",
            kind="dataset",
            title="7,540 questions on action, direction, speed, order and change; 410 clips.",
            licence="CC-BY-NC-4.0",
            use="Academic purposes, not commercial, with attribution.",
            must_agree=True,
            page="https://huggingface.co/datasets/lmms-lab/TempCompass",
            about_bytes=int(0.4 * _GB),
            repo="lmms-lab/TempCompass",
            patterns=("*/test-*.parquet", "tempcompass_videos.zip"),
            archives=(ArchiveRule("tempcompass_videos.zip", "videos"),),
        ),
        Source(
            name="video-mme",
            kind="dataset",
            title="2,700 questions on 900 videos of 11 seconds to an hour.",
            licence="Video-MME terms",
            use="Academic research only, no redistribution.",
            must_agree=True,
            page="https://huggingface.co/datasets/lmms-lab/Video-MME",
            about_bytes=101 * _GB,
            repo="lmms-lab/Video-MME",
            patterns=("videomme/test-*.parquet", "videos_chunked_*.zip", "subtitle.zip"),
            archives=(
                ArchiveRule("videos_chunked_*.zip", "videos"),
                ArchiveRule("subtitle.zip", "subtitle", suffixes=(".srt",)),
            ),
            questions="videomme/test-*.parquet",
        ),
        _model(
            "qwen2.5-vl-3b",
            "Qwen/Qwen2.5-VL-3B-Instruct",
            "Qwen2.5-VL-3B-Instruct, which the published recipe starts from.",
            licence=_RESEARCH,
        ),
        _model(
            "videothinker-r1",
            "Falconss1/VideoThinker-R1-3B",
            "The published VideoThinker-R1-3B (CDPO).",
            licence=f"{_RESEARCH} (of its base)",
        ),
        _model(
            "videothinker-r1-bias",
            "Falconss1/VideoThinker-R1-Bias-3B",
            "The published bias model, which CDPO is pushed away from.",
            licence=f"{_RESEARCH} (of its base)",
        ),
    )
}


def get_source(name: str) -> Source:
    """The source of this name.

    Raises:
        ConfigError: There is none; suggests near ones.
    """
    if name in SOURCES:
        return SOURCES[name]
    hint = nearest_hint(name, dict.fromkeys((*DATASETS, *SOURCES)), "Names")
    raise ConfigError(f"there is nothing named {name!r} to download", hint)


def fetch_hint(source: Source, data_dir: Path) -> str:
    """The command that fetches a source, for a hint; a model of the Hub has no name in the list."""
    if source.name not in SOURCES:
        command = f"vtk setup --model {source.name}"
    else:
        folder = folder_options(data_dir=data_dir) if source.kind == "dataset" else ""
        command = f"vtk download {source.name}{folder}"
    is_offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "true", "yes")
    return f"Get it with{', HF_HUB_OFFLINE unset' if is_offline else ''}: {command}"


def source_dir(source: Source, data_dir: Path) -> Path:
    """Where a source's files lie: `DATA/NAME`, or for a model its folder in the Hub's cache.

    A model lies where `from_pretrained` looks for its hub id, so that presets find it as they are.
    """
    if source.kind == "dataset":
        return data_dir / source.name
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"models--{source.repo.replace('/', '--')}"
