"""MVBench: 20 tasks of 200 questions, 4,000 in all.

Layout (huggingface.co/datasets/OpenGVLab/MVBench): `json/<task>.json`, an array of `video`,
`question`, `candidates`, `answer` (one of the candidates) and, in five tasks, `start` and `end` in
seconds: the clip is cropped to them (OpenGVLab/Ask-Anything:video_chat2/mvbench.ipynb). Clips lie
as the archives unpack, `video/<folder>/<video>`: mp4, webm (Something-Something v2), avi (NTU
RGB+D) and for TVQA folders of frames, three a second. Folders by task: open-compass/VLMEvalKit:
vlmeval/dataset/mvbench.py; a supplement, `data0613`, repeats some of them one level lower.
"""

from pathlib import Path

from vtk.data.benchmarks.rows import Questions, Row, choice_sample, find_clip, read_rows, unique
from vtk.data.sample import VideoSample
from vtk.errors import DataError

_CLEVRER = "clevrer/video_validation"
CLIP_FOLDERS = {
    "action_antonym": "ssv2_video",
    "action_count": "perception/videos",
    "action_localization": "sta/sta_video",
    "action_prediction": "star/Charades_v1_480",
    "action_sequence": "star/Charades_v1_480",
    "character_order": "perception/videos",
    "counterfactual_inference": _CLEVRER,
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "fine_grained_pose": "nturgbd",
    "moving_attribute": _CLEVRER,
    "moving_count": _CLEVRER,
    "moving_direction": _CLEVRER,
    "object_existence": _CLEVRER,
    "object_interaction": "star/Charades_v1_480",
    "object_shuffle": "perception/videos",
    "scene_transition": "scene_qa/video",
    "state_change": "perception/videos",
    "unexpected_action": "FunQA_test/test",
}
TASKS = tuple(CLIP_FOLDERS)
"""In alphabetical order, which is also that of the published recipe's blocks of 200."""
_SUPPLEMENT = "data0613"


def convert(root: Path) -> Questions:
    """The questions of the tasks that the copy in `root` has.

    Raises:
        DataError: No task is there, or one is malformed.
    """
    samples: list[VideoSample] = []
    for task in TASKS:
        source = root / "json" / f"{task}.json"
        if source.is_file():
            rows = read_rows(source)
            samples += [_sample(row, root, task, number) for number, row in enumerate(rows)]
    if not samples:
        raise DataError(f"{root / 'json'} holds no task of MVBench", "Expected: <task>.json files.")
    return Questions(unique(samples, root / "json"))


def _sample(row: Row, root: Path, task: str, number: int) -> VideoSample:
    candidates, answer = row.texts("candidates"), row.text("answer")
    if answer not in candidates:
        raise row.malformed(f"the answer {answer!r} is none of the candidates")
    places = (f"video/{CLIP_FOLDERS[task]}", f"video/{_SUPPLEMENT}/{CLIP_FOLDERS[task]}")
    start, end = row.number("start"), row.number("end")
    return choice_sample(
        row,
        f"{task}-{number:03d}",
        row.text("question"),
        candidates,
        chr(ord("A") + candidates.index(answer)),
        find_clip(row, root, [f"{place}/{row.path('video')}" for place in places]),
        root,
        types={"task": task},
        span_s=None if start is None or end is None else (start, end),
    )
