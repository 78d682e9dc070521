"""`vtk eval` and `vtk compare`: a real (random) tiny model on real clips, killed and resumed."""

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from vtk.cli.console import Console
from vtk.cli.order import Order, read_order
from vtk.cli.questions import Words
from vtk.config.sections import ModelSettings
from vtk.data.registry import get_dataset
from vtk.data.sample import VideoSample
from vtk.data.split import SplitOptions, split_dataset
from vtk.evals.backends import TransformersBackend
from vtk.evals.compare import load_graded_run
from vtk.evals.page.differing import differing_questions
from vtk.evals.page.frames import add_strips
from vtk.evals.record import EvalRow
from vtk.evals.runner import evaluate, iter_rows
from vtk.evals.settings import EvaluationSettings
from vtk.evals.suites import find_suite, load_questions
from vtk.mini.world import WorldSettings, write_world
from vtk.models.loader import load_policy
from vtk.models.tiny import build_tiny_model, tiny_model_dir
from vtk.rollout.generate import SamplingSettings
from vtk.runs.store import RunPaths
from vtk.video.frames import FrameSettings

pytestmark = pytest.mark.slow

SUITE = "clevrer-mini"
FRAMES = FrameSettings(
    num_frames=8, fps=None, min_pixels_px=4704, max_pixels_px=4704, decoder="pyav"
)
GREEDY = SamplingSettings(max_completion_tokens=12, temperature=0.0)
SAMPLED = SamplingSettings(max_completion_tokens=12, temperature=1.0)
Tiny = tuple[Any, Any]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split world of four training and six validation clips."""
    folder = tmp_path_factory.mktemp("data")
    settings = WorldSettings(num_scenes=4, num_validation_scenes=6, seed=1)
    write_world(folder / SUITE, settings)
    split_dataset(folder / SUITE, get_dataset(SUITE), SplitOptions())
    return folder


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    """The tiny architecture with random weights."""
    return build_tiny_model(seed=0)


@pytest.fixture(scope="module")
def model_dir(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, saved."""
    folder = tmp_path_factory.mktemp("model")
    for part in tiny:
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> list[VideoSample]:
    """The validation questions."""
    return load_questions(find_suite(SUITE), data_dir)


def ask(tiny: Tiny, samples: list[VideoSample], **changes: Any) -> list[EvalRow]:
    settings = EvaluationSettings("mini", FRAMES, SAMPLED, batch_size=4, seed=1)
    return list(iter_rows(TransformersBackend(*tiny), samples, replace(settings, **changes)))


@pytest.mark.parametrize("changes", [{"sampling": GREEDY}, {"num_draws": 2}])
def test_both_engines_answer_alike_and_one_sees_a_clip_once(
    samples: list[VideoSample], changes: dict[str, Any]
) -> None:
    taught = load_policy(tiny_model_dir(), ModelSettings())
    chosen = samples[:8]
    num_clips = len({sample.video for sample in chosen})
    assert 1 < num_clips < len(chosen)
    seen: dict[str, list[int]] = {"reference": [], "shared": []}
    rows = {}
    for engine, num_clips_a_call in seen.items():
        visual = taught[0].model.visual
        hook = visual.register_forward_pre_hook(
            lambda _, __, given, kept=num_clips_a_call: kept.append(len(given["grid_thw"])),
            with_kwargs=True,
        )
        rows[engine] = ask(taught, chosen, engine=engine, **changes)
        hook.remove()
    assert rows["shared"] == rows["reference"]
    assert len({row.completion for row in rows["shared"]}) > 1
    assert seen["shared"] == [1] * num_clips
    assert sum(seen["reference"]) >= len(chosen)


def test_the_same_plan_gives_the_same_rows(tiny: Tiny, samples: list[VideoSample]) -> None:
    first = ask(tiny, samples[:8], num_draws=2)
    assert ask(tiny, samples[:8], num_draws=2) == first
    assert len({row.completion for row in first}) > 8
    assert ask(tiny, samples[:8], num_draws=2, seed=2) != first


def test_a_model_in_training_is_left_as_it_was(tiny: Tiny, samples: list[VideoSample]) -> None:
    model, processor = tiny
    model.train()
    model.model.visual.eval()
    modes = [module.training for module in model.modules()]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    found = evaluate(
        TransformersBackend(model, processor),
        samples[:4],
        EvaluationSettings("mini", FRAMES, SAMPLED, batch_size=4),
    )
    assert found["strict"]["all"]["n"] == 4
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    model.eval()


def test_a_damaged_file_and_a_long_prompt_become_errors(
    tiny: Tiny, samples: list[VideoSample], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(samples[0].video.read_bytes()[:2000])
    asked = [replace(samples[0], video=damaged), *samples[1:4]]
    rows = ask(tiny, asked)
    assert [row.error is not None for row in rows] == [True, False, False, False]
    assert rows[0].error is not None
    assert (rows[0].error["kind"], str(damaged) in rows[0].error["message"]) == ("decode", True)
    rows = ask(tiny, asked[1:], max_prompt_tokens=20)
    assert {row.error["kind"] for row in rows if row.error} == {"prompt"}


def test_parts_of_one_clip_are_not_taken_for_each_other(
    tiny: Tiny, samples: list[VideoSample]
) -> None:
    first, second = (
        replace(samples[0], sample_id=name, span_s=span)
        for name, span in (("a", (0.0, 1.0)), ("b", (3.0, 5.0)))
    )
    together = ask(tiny, [first, second], batch_size=1, num_draws=4)
    apart = [*ask(tiny, [first], batch_size=1, num_draws=4)]
    apart += ask(tiny, [second], batch_size=1, num_draws=4)
    assert together == apart
    assert together[0].timestamps_s != together[4].timestamps_s


class Cli:
    """Runs `vtk` in processes of their own."""

    def __init__(self, data_dir: Path, runs_dir: Path) -> None:
        self.places = ["--data-dir", str(data_dir), "--runs-dir", str(runs_dir)]
        self.runs_dir = runs_dir

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "vtk", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as child:
            try:
                out, err = child.communicate(timeout=240)
            finally:
                child.kill()
        return child.returncode, out, err

    def stop_midway(self, arguments: list[str], sign: int) -> tuple[int, int]:
        """Send a signal once six rows are there; the exit code and the number of rows left."""
        with self.start(*arguments) as child:
            try:
                while self.num_rows() < 6 and child.poll() is None:
                    time.sleep(0.005)
                child.send_signal(sign)
                child.communicate(timeout=60)
            finally:
                child.kill()
        return child.returncode, self.num_rows()

    def num_rows_of(self, rank: int) -> int:
        """Complete rows that one of several processes has written."""
        files = self.runs_dir.glob(f"*/eval/*/parts/rank_{rank}.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in files)

    def num_rows(self) -> int:
        """Complete rows of all evaluations in the runs' folder."""
        files = self.runs_dir.glob("*/eval/*/samples.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in files)


def eval_arguments(cli: Cli, model_dir: Path) -> list[str]:
    options = ["--preset", "tiny", "--temperature", "1", "--samples-per-question", "4"]
    sizes = ["--batch-size", "2", "--max-completion-tokens", "48"]
    return ["eval", SUITE, "--model", str(model_dir), *options, *sizes, *cli.places]


@pytest.fixture(scope="module")
def uninterrupted(
    data_dir: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The JSON document of an evaluation that nobody stopped."""
    cli = Cli(data_dir, tmp_path_factory.mktemp("runs"))
    code, out, err = cli.run(*eval_arguments(cli, model_dir), "--json")
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


@pytest.mark.parametrize(("sign", "exit_code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_a_stopped_evaluation_goes_on_and_ends_with_the_same_results(
    sign: int,
    exit_code: int,
    uninterrupted: dict[str, Any],
    data_dir: Path,
    model_dir: Path,
    tmp_path: Path,
) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    arguments = eval_arguments(cli, model_dir)
    whole = uninterrupted["suites"][SUITE]
    code, num_left = cli.stop_midway(arguments, sign)
    assert code == exit_code
    assert 6 <= num_left < whole["num_completions"]
    code, out, err = cli.run(*arguments, "--json")
    assert code == 0, err
    assert f"Kept {num_left} of {whole['num_completions']}" in err
    found = json.loads(out)
    assert found["suites"][SUITE] == whole
    here = Path(found["run_dir"]) / "eval" / SUITE / "results.json"
    there = Path(uninterrupted["run_dir"]) / "eval" / SUITE / "results.json"
    assert here.read_bytes() == there.read_bytes()


def test_one_of_two_processes_is_killed_and_one_goes_on_to_the_same_bytes(
    uninterrupted: dict[str, Any], data_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    arguments = eval_arguments(cli, model_dir)
    with cli.start(*arguments, "--num-processes", "2", "--json") as starter:
        try:
            while min(cli.num_rows_of(rank) for rank in (0, 1)) < 2 and starter.poll() is None:
                time.sleep(0.005)
            killed = pid_of_rank(1, starter.pid)
            os.kill(killed, signal.SIGKILL)
            out, err = starter.communicate(timeout=60)
        finally:
            starter.kill()
    fault = json.loads(out)["error"]
    assert (starter.returncode, fault["exit_code"]) == (1, 1)
    assert fault["message"] == (
        f"process 1 (pid {killed}) was killed by SIGKILL; the others were ended"
    )
    assert "repeat the command" in fault["hint"]
    assert err.count("Error: ") == 1
    code, out, err = cli.run(*arguments, "--json")
    assert code == 0, err
    kept = re.search(r"Kept (\d+) of", err)
    assert kept is not None
    assert int(kept[1]) >= 4
    require_same_files(json.loads(out), uninterrupted)


@pytest.mark.thorough
def test_torchrun_shares_an_evaluation_out_and_only_one_process_speaks(
    uninterrupted: dict[str, Any], data_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "3", "-m", "vtk"]
    done = subprocess.run(
        [sys.executable, *torchrun, *eval_arguments(cli, model_dir), "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    require_same_files(json.loads(done.stdout), uninterrupted)
    assert done.stderr.count("Loading ") == 1


def require_same_files(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Rows and results to the byte, and no parts left."""
    assert found["suites"] == expected["suites"]
    here, there = (Path(one["run_dir"]) / "eval" / SUITE for one in (found, expected))
    for name in ("samples.jsonl", "results.json"):
        assert (here / name).read_bytes() == (there / name).read_bytes()
    assert sorted(path.name for path in here.iterdir()) == sorted(
        path.name for path in there.iterdir()
    )


def pid_of_rank(rank: int, starter: int) -> int:
    """The process that a starter told its rank."""
    for child in Path(f"/proc/{starter}/task/{starter}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"process {starter} started no rank {rank}")


@pytest.mark.parametrize(("given", "num_asked"), [({"eval.num_samples": 2}, 2), ({}, None)])
def test_only_the_command_line_asks_fewer_questions(
    given: dict[str, Any], num_asked: int | None, data_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    config = tmp_path / "few.toml"
    config.write_text("[eval]\nnum_samples = 3\n")
    order = Order(
        suites=[SUITE],
        model=str(model_dir),
        part="validation",
        questions=None,
        protocol="both",
        words=Words(None, False),
        num_draws=1,
        seed=None,
        preset=None,
        config=config,
        overrides=given,
        name=None,
        is_new=False,
        data_dir=data_dir,
        runs_dir=tmp_path,
    )
    read = read_order(Console(), order)
    (inquiry,) = read.inquiries({})
    assert read.target.config.eval.num_samples in (2, 3)
    assert len(inquiry.samples) == (num_asked or len(load_questions(find_suite(SUITE), data_dir)))
    assert len(load_questions(find_suite(SUITE), data_dir)) > 3


def test_two_models_are_compared_on_the_same_questions(
    uninterrupted: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    first = Path(uninterrupted["run_dir"])
    cli = Cli(data_dir, first.parent)
    other = tmp_path / "other"
    for part in build_tiny_model(seed=1):
        part.save_pretrained(other)
    code, out, err = cli.run(*eval_arguments(cli, other), "--json")
    assert code == 0, err
    second = json.loads(out)["run_id"]
    assert second != first.name
    page = tmp_path / "compare.html"
    options = ["--html", str(page), "--json"]
    code, out, err = cli.run("compare", first.name, second, *options, *cli.places)
    assert code == 0, err
    document = json.loads(out)
    assert document["html"] == str(page)
    assert f"{first.name} and {second}, side by side" in page.read_text()
    expected = uninterrupted["suites"][SUITE]
    assert document["runs"][0]["strict"]["all"]["n"] == expected["num_questions"]
    assert document["differences"][0]["run"] == second
    assert list(document["settings_differ"]) == ["model.weights_sha256"]


def test_a_page_shows_frames_that_the_model_saw(
    uninterrupted: dict[str, Any], data_dir: Path
) -> None:
    asked = load_graded_run(RunPaths(Path(uninterrupted["run_dir"])), SUITE)
    right = {
        name: [replace(row, strict=1.0, parsed="A") for row in draws]
        for name, draws in asked.questions.items()
    }
    other = replace(asked, name="other", questions=right)
    questions = {SUITE: differing_questions(SUITE, [asked, other])}
    assert len(questions[SUITE]) == len(asked.questions)
    strips = add_strips(questions, {SUITE: asked.settings}, data_dir, max_clips=3)
    assert (len(strips.by_key), strips.problems) == (3, [])
    shown = [one for one in questions[SUITE] if one.facts["frames"] is not None]
    assert len(shown) + strips.num_left_out == len(questions[SUITE])
    for one in shown:
        strip, times_s = strips.by_key[one.facts["frames"]], one.asked.timestamps_s
        assert times_s is not None
        assert strip["num_frames"] == len(times_s)
        assert (strip["times_s"][0], strip["times_s"][-1]) == (times_s[0], round(times_s[-1], 2))
        kind, _, content = strip["uri"].partition(",")
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert (kind, picture.format) == ("data:image/jpeg;base64", "JPEG")
        assert picture.width > 5 * picture.height


def test_a_page_does_not_show_another_clip_than_was_asked_about(
    uninterrupted: dict[str, Any], data_dir: Path
) -> None:
    asked = load_graded_run(RunPaths(Path(uninterrupted["run_dir"])), SUITE)
    changed = {
        name: [replace(row, strict=float(is_right), video_sha256="0" * 64) for row in draws]
        for is_right, (name, draws) in enumerate(list(asked.questions.items())[:2])
    }
    first = replace(asked, questions=changed)
    flipped = {
        name: [replace(row, strict=1.0 - row.strict) for row in draws]
        for name, draws in changed.items()
    }
    questions = {SUITE: differing_questions(SUITE, [first, replace(first, questions=flipped)])}
    strips = add_strips(questions, {SUITE: asked.settings}, data_dir, max_clips=9)
    assert strips.by_key == {}
    assert strips.problems
    assert all("is not the clip that was asked about" in text for text in strips.problems)


def test_faults_have_their_exit_codes(data_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    code, out, err = cli.run("eval", "clevrer-mimi", "--model", "tiny", *cli.places, "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "ConfigError")
    assert "Did you mean clevrer-mini?" in err
    code, _, err = cli.run("eval", "clevrer", "--model", str(model_dir), *cli.places)
    assert code == 4
    assert "vtk split clevrer" in err
    code, _, err = cli.run("compare", "a", "b", "--runs-dir", str(cli.runs_dir))
    assert code == 4
