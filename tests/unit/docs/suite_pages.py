"""The pages of docs/suites, read as a reader sees them, and what the code says of the same."""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tests.unit.data.benchmarks.layouts import write_json, write_parquet
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.data.labelling import label_part
from vtk.data.rules import DEFAULT_RULE
from vtk.data.sample import VideoSample, load_samples
from vtk.evals.protocols import PROTOCOLS, ProtocolName
from vtk.evals.published import published_numbers
from vtk.rollout.prompts import build_prompt_text, prompt_hash
from vtk.scoring.rewards import grade
from vtk.scoring.verdicts import Asked

FOLDER = Path(__file__).parents[3] / "docs" / "suites"
TEMPLATES = {"clevrer": "paper", "clevrer-mini": "mini"}
"""Prompts of the suites whose authors wrote none for language models."""

SPLIT_FILE = "split/validation.jsonl"
_HASH_CHARS = 12
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_OF_BLOCK = re.compile(
    r"`([\w./-]+\.(?:jsonl?|parquet))`[^`]*?\n\n```json\n(.*?)^```$", re.M | re.S
)
_READINGS = ("strict", "partial", "per_option", "lenient")


class Page:
    """One page: its sections, their tables and their blocks."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    @classmethod
    def of(cls, name: str) -> "Page":
        """The page of a suite."""
        return cls(name, (FOLDER / f"{name}.md").read_text(encoding="utf-8"))

    @cached_property
    def sections(self) -> dict[str, str]:
        """Heading -> what stands below it."""
        _, *parts = _HEADING.split(self.text)
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def table(self, heading: str) -> list[list[str]]:
        """The cells of the first table of a section, row by row, its head first."""
        rows: list[list[str]] = []
        for line in self.sections[heading].splitlines():
            if line.startswith("|"):
                rows.append([cell.strip() for cell in line.strip("|").split("|")])
            elif rows:
                break
        return [row for row in rows if set("".join(row)) - set("-: ")]

    @cached_property
    def glance(self) -> dict[str, str]:
        """The facts at a glance."""
        return {row[0]: row[1] for row in self.table("At a glance")[1:]}

    def blocks(self, heading: str, language: str) -> list[str]:
        """Fenced blocks of a section in one language, without their fences."""
        found = _FENCE.findall(self.sections[heading])
        return [text.rstrip("\n") for name, text in found if name == language]

    @cached_property
    def commands(self) -> list[list[str]]:
        """The words of every `vtk` line of a block, and of every one in a sentence."""
        lines = [line for _, text in _FENCE.findall(self.text) for line in text.splitlines()]
        prose = re.findall(r"`(vtk (?:eval|download|split|compare|data) [^`]+)`", self.text)
        told = [line.split(" #")[0].split() for line in [*lines, *prose]]
        return [words[1:] for words in told if words[:1] == ["vtk"]]


def samples_of(page: Page, root: Path) -> list[VideoSample]:
    """The page's example rows in a folder, read by the code that reads the real files."""
    found = _FILE_OF_BLOCK.findall(page.sections["One question"])
    for reference, text in found:
        _write(root / reference, json.loads(text))
    if page.name in BENCHMARKS:
        return BENCHMARKS[page.name].convert(root).with_judged().samples
    if page.name == "clevrer":
        rows = list(label_part(root, "validation", DEFAULT_RULE).rows)
        (root / "split").mkdir(exist_ok=True)
        (root / SPLIT_FILE).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return load_samples(root / SPLIT_FILE)


def _write(path: Path, row: dict[str, object]) -> None:
    if path.suffix == ".parquet":
        write_parquet(path, [row])
    elif path.suffix == ".jsonl":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    elif path.name.startswith("annotation_"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row), encoding="utf-8")
    else:
        write_json(path, [row])


def protocol_names(suite: str) -> list[ProtocolName]:
    """The protocols that a suite can be asked under, as `vtk eval` knows them."""
    return ["official", "recipe"] if "recipe" in PROTOCOLS.get(suite, {}) else ["official"]


def asked(suite: str, name: ProtocolName, sample: VideoSample) -> str:
    """What a model is asked about a sample."""
    protocol = PROTOCOLS.get(suite, {}).get(name)
    return (
        protocol.words(sample) if protocol else build_prompt_text(sample.problem, TEMPLATES[suite])
    )


def short_hash(suite: str, name: ProtocolName) -> str:
    """The beginning of the hash that results carry for a protocol's prompt."""
    protocol = PROTOCOLS.get(suite, {}).get(name)
    whole = protocol.prompt_sha256() if protocol else prompt_hash(TEMPLATES[suite])
    return whole[:_HASH_CHARS]


def score_columns(suite: str) -> list[str]:
    """Scores that a suite's results hold: by protocol, or by the one grader's readings."""
    if suite in BENCHMARKS:
        return list(protocol_names(suite))
    return [*_READINGS, *(name for name in protocol_names(suite) if name == "recipe")]


def scored(suite: str, column: str, completion: str, sample: VideoSample) -> str:
    """A completion's score as the pages write it."""
    if column in _READINGS:
        score = getattr(grade(completion, sample.solution, len(sample.options)), column)
    else:
        name: ProtocolName = "recipe" if column == "recipe" else "official"
        score = PROTOCOLS[suite][name].verdict(completion, Asked.of(sample)).score
    return f"{score:.2f}".rstrip("0").rstrip(".") if suite in TEMPLATES else _WORDS[score]


_WORDS = {1.0: "right", 0.0: "wrong"}


def published_table(suite: str) -> list[str]:
    """The rows of a page's table of published numbers, as Markdown."""
    numbers = published_numbers(suite)
    rows = [
        [n.model, n.type, f"{100 * n.accuracy:.1f}", n.protocol, n.asked, n.source] for n in numbers
    ]
    head = ["model", "of", "%", "nearest of ours", "asked and scored", "source"]
    lines: Sequence[Sequence[str]] = [head, ["---", "---", "---:", "---", "---", "---"], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
