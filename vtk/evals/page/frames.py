"""Small pictures of the clips that a page's questions are about, as the model was shown them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import torch

from vtk.data.sample import VideoSample
from vtk.errors import ConfigError, DataError
from vtk.evals.page.differing import Differing
from vtk.evals.suites import find_suite, is_here, read_suite
from vtk.format import visible_text
from vtk.runs.files import file_sha256
from vtk.video.frames import FrameSettings, read_clip
from vtk.video.jpeg import jpeg_uri

NUM_SHOWN_FRAMES: Final = 6
MAX_PAGE_BYTES: Final = 48 * 2**20
"""Pictures that one page holds, in bytes."""

_FRAME_PIXELS_PX: Final = 168 * 112
_PARTS: Final = ("validation", "train", "bias")
_MAX_CHECKED_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class Strips:
    """The pictures of a page.

    Attributes:
        by_key: Key -> JPEG data URI of the frames side by side, and their times in seconds.
        problems: Sentences on clips that are not shown.
        num_left_out: Questions without pictures because there were enough.
    """

    by_key: Mapping[str, Mapping[str, Any]]
    problems: Sequence[str]
    num_left_out: int


def add_strips(
    questions: Mapping[str, Sequence[Differing]],
    settings: Mapping[str, Mapping[str, Any]],
    data_dir: Path,
    max_clips: int,
    on_clip: Callable[[], None] = lambda: None,
) -> Strips:
    """Read the clips of the first questions of each suite and note in their facts which they have.

    Args:
        questions: Name of results -> its questions; `facts["frames"]` is set in them.
        settings: Name of results -> how the baseline was asked, as in settings.json.
        data_dir: The folder of all data sets.
        max_clips: How many clips to read at most, shared evenly by the suites.
        on_clip: Called after each clip that was read.
    """
    clips = {name: _clips(settings[name], found, data_dir) for name, found in questions.items()}
    problems = [f"{name}: {known}" for name, known in clips.items() if isinstance(known, str)]
    strips: dict[str, Mapping[str, Any]] = {}
    faults: dict[str, str] = {}
    num_bytes, num_left_out = 0, 0
    for one in _in_turn(list(questions.values())):
        known = clips[one.suite]
        if isinstance(known, str) or (sample := known.get(one.asked.sample_id)) is None:
            continue
        key = f"{one.suite}:{sample.video}:{sample.span_s}"
        if key not in strips and key not in faults:
            if len(strips) >= max_clips or num_bytes > MAX_PAGE_BYTES:
                num_left_out += 1
                continue
            try:
                strips[key] = _strip(one, sample, settings[one.suite])
            except DataError as error:
                faults[key] = visible_text(error.message)
            else:
                num_bytes += len(strips[key]["uri"])
            on_clip()
        if key in strips:
            one.facts["frames"] = key
    return _numbered(questions, strips, [*problems, *faults.values()], num_left_out)


def _clips(
    settings: Mapping[str, Any], questions: Sequence[Differing], data_dir: Path
) -> "dict[str, VideoSample] | str":
    """The questions of a suite by id, from the part that holds most of them; or why there are none.

    Those that only a judge scores are among them; whether one was asked does not matter here.
    """
    wanted = {one.asked.sample_id for one in questions}
    found: dict[str, VideoSample] = {}
    try:
        suite = find_suite(str(settings.get("suite")))
        for part in _PARTS:
            if not is_here(suite, data_dir, part):
                continue
            samples = read_suite(suite, data_dir, part).with_judged().samples
            known = {sample.sample_id: sample for sample in samples if sample.sample_id in wanted}
            found = max(found, known, key=len)
    except (ConfigError, DataError) as error:
        return f"no pictures: {visible_text(error.message)}"
    return found or f"no pictures: {data_dir} does not hold these questions"


def _strip(one: Differing, sample: VideoSample, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The frames that the baseline was shown, some of them, side by side in one JPEG."""
    _require_same_clip(one, sample)
    ask = settings["ask"]
    crops = (ask.get("protocol") or {}).get("crops_clips", True)
    wanted = replace(
        FrameSettings(**{k: v for k, v in ask["frames"].items() if k != "span_s"}),
        min_pixels_px=_FRAME_PIXELS_PX // 2,
        max_pixels_px=_FRAME_PIXELS_PX,
        size_factor_px=2,
        decoder="auto",
        span_s=sample.span_s if crops else None,
    )
    clip = read_clip(sample.video, wanted)
    last = len(clip.timestamps_s) - 1
    count = min(NUM_SHOWN_FRAMES, last + 1)
    places = [round(index * last / max(1, count - 1)) for index in range(count)]
    side_by_side_CHW = torch.cat([clip.frames_FCHW[place] for place in places], dim=2)
    return {
        "uri": jpeg_uri(side_by_side_CHW.permute(1, 2, 0)),
        "times_s": [round(clip.timestamps_s[place], 2) for place in places],
        "num_frames": last + 1,
    }


def _require_same_clip(one: Differing, sample: VideoSample) -> None:
    """Refuse to show another clip than was asked about; very large files are believed."""
    known, path = one.asked.video_sha256, sample.video
    is_small = path.is_file() and path.stat().st_size <= _MAX_CHECKED_BYTES
    if known is not None and is_small and file_sha256(path) != known:
        raise DataError(f"{path} is not the clip that was asked about; it changed since")


def _in_turn(suites: Sequence[Sequence[Differing]]) -> Iterator[Differing]:
    """One question of each suite after another."""
    for together in zip_longest(*suites):
        yield from (one for one in together if one is not None)


def _numbered(
    questions: Mapping[str, Sequence[Differing]],
    strips: Mapping[str, Mapping[str, Any]],
    problems: Sequence[str],
    num_left_out: int,
) -> Strips:
    """Short keys instead of paths, which are nobody's business who gets the page."""
    short = {key: f"f{number}" for number, key in enumerate(strips)}
    for found in questions.values():
        for one in found:
            one.facts["frames"] = short.get(one.facts["frames"])
    by_key = {short[key]: strip for key, strip in strips.items()}
    return Strips(by_key, problems, num_left_out)
