"""The benchmarks by name: how each is read, and how much of it there should be."""

from dataclasses import dataclass
from pathlib import Path

from vtk.data.benchmarks import mmvu, mvbench, tempcompass, video_holmes, video_mme
from vtk.data.benchmarks.rows import Convert, Questions


@dataclass(frozen=True)
class Benchmark:
    """One published benchmark.

    Attributes:
        name: How commands and its folder call it.
        label: What its numbers are called.
        title: One sentence for people.
        convert: Reads its official layout.
        num_questions: Questions that its authors count and that are asked here.
        num_clips: Clips that these questions are about; None where nobody counts them.
        hub_names: Folders by which published files of paths call it, outermost first.
        judged_label: What its numbers are called where a judge scores what no rule can; None is
            as without one.
    """

    name: str
    label: str
    title: str
    convert: Convert
    num_questions: int
    num_clips: int | None
    hub_names: tuple[tuple[str, ...], ...]
    judged_label: str | None = None

    def counts_note(self, questions: Questions) -> str | None:
        """What is missing of, or beyond, the published counts; None if nothing is."""
        num_questions = len(questions.samples)
        num_clips = len({sample.clip_id for sample in questions.samples})
        found = [f"{num_questions:,} of {self.num_questions:,} questions"]
        if self.num_clips is not None:
            found.append(f"{num_clips:,} of {self.num_clips:,} clips")
        is_whole = num_questions == self.num_questions and self.num_clips in (None, num_clips)
        return None if is_whole else f"{self.name}: a part is here, {' about '.join(found)}"


BENCHMARKS: dict[str, Benchmark] = {
    found.name: found
    for found in (
        Benchmark(
            "mmvu",
            "MMVU(mc)",
            "MMVU(mc): multiple-choice questions on lectures and experiments of 27 subjects.",
            mmvu.convert,
            625,
            379,
            (("yale-nlp", "MMVU"), ("MMVU",)),
            judged_label="MMVU",
        ),
        Benchmark(
            "video-holmes",
            "Video-Holmes",
            "Video-Holmes: seven types of inference about short suspense films.",
            video_holmes.convert,
            1_837,
            270,
            (("TencentARC", "Video-Holmes"), ("Video-Holmes",)),
        ),
        Benchmark(
            "mvbench",
            "MVBench",
            "MVBench: twenty tasks that one frame does not answer.",
            mvbench.convert,
            4_000,
            None,
            (("OpenGVLab", "MVBench"), ("MVBench",)),
        ),
        Benchmark(
            "tempcompass",
            "TempCompass",
            "TempCompass: action, direction, speed, order and change of short clips.",
            tempcompass.convert,
            5_536,
            410,
            (("lmms-lab", "TempCompass"), ("TempCompass",)),
        ),
        Benchmark(
            "video-mme",
            "Video-MME w/o subtitles",
            "Video-MME: clips of 11 seconds to an hour, without subtitles.",
            video_mme.convert,
            2_700,
            900,
            (("lmms-lab", "Video-MME"), ("Video-MME",)),
        ),
    )
}


def benchmark_dir(data_dir: Path, name: str) -> Path:
    """`DATA/NAME`, where the official files of a benchmark lie."""
    return data_dir / name
