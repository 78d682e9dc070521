"""The training commands up to the moment when a worker would start: options, plans, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from vtk.cli.app import main
from vtk.errors import ConfigError, GuardStop, Interrupted, UserInterrupt, VtkError
from vtk.launch import _raise_unless_finished as judge
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

Run = tuple[int, dict[str, Any], str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base model, a bias model and a question file; nothing in them is ever loaded."""
    for name in ("base", "bias"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    row = {"problem": "Which?\nA. x\nB. y", "solution": "A", "video": "v.mp4"}
    (tmp_path / "questions.json").write_text(json.dumps([row]))
    return tmp_path


class Command:
    """Runs a training command in this process with the folders of a test."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def __call__(self, stage: str, *arguments: str) -> Run:
        folders = ("--runs-dir", str(self.folder / "runs"), "--data-dir", str(self.folder / "data"))
        code = main([f"train-{stage}", *arguments, *folders, "--json"])
        captured = self.capsys.readouterr()
        return code, json.loads(captured.out), captured.err

    def plan(self, stage: str, *arguments: str) -> Run:
        """The plan of a run, nothing created."""
        model = ("--model", str(self.folder / "base"))
        data = ("--data", str(self.folder / "questions.json"))
        return self(stage, *model, *data, *arguments, "--dry-run")


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(folder, capsys)


def test_a_plan_shows_settings_sources_inputs_and_needs(command: Command, folder: Path) -> None:
    code, plan, prose = command.plan(
        "cdpo",
        *("--model", "tiny", "--bias-model", str(folder / "bias")),
        *("--set", "optim.num_steps=7", "--beta", "-0.5"),
    )
    assert code == 0
    assert plan["config"]["optim"]["num_steps"] == 7
    assert plan["provenance"]["optim.num_steps"] == "command line"
    assert plan["provenance"]["optim.weight_decay"] == "default"
    assert plan["inputs"]["reference"] == str((folder / "bias").resolve())
    assert plan["objective"] == f"repels from the bias model in {folder / 'bias'}, strength 0.5"
    assert plan["estimate"]["tokens_per_step"] > 0
    assert plan["estimate"]["run_s"] == pytest.approx(7 * plan["estimate"]["step_s"])
    assert "activations" in prose
    assert "Attention kernel: sdpa." in prose
    assert not (folder / "runs").exists()
    assert "too slow" not in prose


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '[{"problem": "Which?"}]'])
def test_a_plan_refuses_the_questions_that_training_refuses(
    command: Command, folder: Path, content: str
) -> None:
    (folder / "questions.json").write_text(content)
    code, document, _ = command.plan("grpo")
    assert code == 4
    assert "questions.json" in document["error"]["message"]


@pytest.mark.parametrize("name", ["../evil", "", "x" * 300])
def test_a_plan_refuses_the_name_that_training_refuses(command: Command, name: str) -> None:
    code, document, _ = command.plan("grpo", "--name", name)
    assert (code, "cannot name a run" in document["error"]["message"]) == (2, True)


def test_a_plan_of_months_is_told(command: Command, folder: Path) -> None:
    data = ("--data", str(folder / "questions.json"))
    steps = ("--set", "optim.num_steps=1000000000")
    code, plan, prose = command("grpo", "--preset", "tiny", *data, *steps, "--dry-run")
    assert code == 0
    assert plan["estimate"]["run_s"] > 14 * 86_400
    assert "Warning: This machine is too slow" in prose


PUBLISHED = {
    "model-name-or-path": ("BASE", "model.path"),
    "ref-model-path": ("BIAS", "reference.path"),
    "max-steps": ("9", "optim.num_steps"),
    "num-generations": ("4", "rollout.num_generations"),
    "learning-rate": ("2e-06", "optim.learning_rate"),
    "per-device-train-batch-size": ("2", "optim.prompts_per_device"),
    "gradient-accumulation-steps": ("3", "optim.accumulation_steps"),
    "max-grad-norm": ("5.0", "optim.max_grad_norm"),
    "max-prompt-length": ("2048", "prompt.max_prompt_tokens"),
    "max-completion-length": ("512", "rollout.max_completion_tokens"),
    "save-steps": ("50", "checkpoint.every_steps"),
    "attn-implementation": ("eager", "model.attention"),
}


@pytest.mark.parametrize("spelling", ["-", "_"])
def test_published_names_are_understood(command: Command, folder: Path, spelling: str) -> None:
    paths = {"BASE": str(folder / "base"), "BIAS": str(folder / "bias")}
    options = {name: paths.get(value, value) for name, (value, _) in PUBLISHED.items()}
    given = [
        part
        for name, value in options.items()
        for part in ("--" + name.replace("-", spelling), value)
    ]
    data = (f"--jsonl{spelling}path", str(folder / "questions.json"))
    code, plan, _ = command("cdpo", *given, *data, "--beta", "-0.01", "--dry-run")
    assert code == 0
    for name, (_, dotted) in PUBLISHED.items():
        section, leaf = dotted.split(".")
        assert str(plan["config"][section][leaf]) == options[name]
        assert plan["provenance"][dotted] == "command line"


def test_the_published_output_folder_is_the_folder_of_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_run(folder / "elsewhere", "bias", "bias-1")
    code = main(["train-bias", "--resume", "bias-2", "--output_dir", str(folder / "elsewhere")])
    assert code == 4
    assert "bias-1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "arguments", "code", "words"),
    [
        ("cdpo", [], 2, "reference"),
        ("cdpo", ["--bias-model", "nobody"], 4, "nobody"),
        ("cdpo", ["--bias-model", "self", "--beta", "0"], 2, "beta"),
        ("grpo", ["--beta", "-0.1"], 2, "train-cdpo"),
        ("bias", ["--preset", "tinny"], 2, "tiny"),
        ("bias", ["--set", "optim.num_step=3"], 2, "num_steps"),
        ("bias", ["--set", "optim.num_steps"], 2, "KEY=VALUE"),
        ("bias", ["--max-steps", "0"], 2, "num_steps"),
        ("cdpo", ["--bias-model", "self", "--repulsion", "strong"], 2, "repulsion"),
    ],
)
def test_refusals_name_the_fault_and_the_way_out(
    command: Command, stage: str, arguments: list[str], code: int, words: str
) -> None:
    found, document, _ = command.plan(stage, *arguments)
    assert found == code
    error = document["error"]
    assert words in error["message"] + str(error["hint"])


def test_data_is_a_name_or_a_file(command: Command, folder: Path) -> None:
    code, document, _ = command("grpo", "--model", str(folder / "base"), "--data", "clevr")
    assert code == 2
    assert "clevrer-mini" in document["error"]["hint"]
    code, document, _ = command("grpo", "--model", str(folder / "base"), "--data", "clevrer")
    assert code == 4
    assert "Get it with: vtk download clevrer --data-dir " in document["error"]["hint"]


class TestResume:
    def test_settings_come_from_the_run(self, command: Command, folder: Path) -> None:
        create_run(folder / "runs", "bias", "bias-1")
        code, document, _ = command("bias", "--resume", "bias-1", "--max-steps", "5")
        assert code == 2
        assert "--max-steps" in document["error"]["message"]

    def test_a_run_of_another_stage_is_refused(self, command: Command, folder: Path) -> None:
        create_run(folder / "runs", "grpo", "grpo-1")
        code, document, _ = command("bias", "--resume", "grpo-1")
        assert code == 2
        assert "stage grpo" in document["error"]["message"]
        assert command("bias", "--resume")[0] == 4

    def test_a_finished_run_is_refused(self, command: Command, folder: Path) -> None:
        paths = create_run(folder / "runs", "bias", "bias-1")
        with EventWriter(paths) as events:
            events.finish("finished")
        code, document, _ = command("bias", "--resume", "bias-1")
        assert code == 2
        assert "finished" in document["error"]["message"]

    def test_a_living_run_is_refused_before_a_process_starts(
        self, command: Command, folder: Path
    ) -> None:
        paths = create_run(folder / "runs", "bias", "bias-1")
        with EventWriter(paths):
            code, document, _ = command("bias", "--resume", "bias-1")
        assert code == 2
        assert "is being written by process" in document["error"]["message"]
        assert f"vtk runs stop {paths.root}" in document["error"]["hint"]
        assert not paths.logs_dir.exists()

    def test_a_run_without_resume_is_one_word_too_many(self, command: Command) -> None:
        code, document, _ = command("bias", "bias-1")
        assert code == 2
        assert "--resume bias-1" in document["error"]["hint"]


class TestJudgement:
    """What the parent makes of an attempt's end."""

    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        path = tmp_path / "worker.log"
        path.write_text("\n".join(f"line {i}" for i in range(100)))
        return path

    @staticmethod
    def _end(**payload: Any) -> list[dict[str, Any]]:
        return [{"type": "run_finished", "status": "failed", **payload}]

    def test_a_known_error_comes_back_as_it_was(self, log: Path) -> None:
        end = self._end(error_kind="GuardStop", message="entropy", hint="mend it")
        with pytest.raises(GuardStop, match="entropy") as raised:
            judge(RunPaths(log.parent), end, 5, log)
        assert raised.value.hint == "mend it"

    def test_an_unknown_error_shows_the_log(self, log: Path) -> None:
        end = self._end(error_kind="ZeroDivisionError", message="division")
        with pytest.raises(VtkError, match="ZeroDivisionError") as raised:
            judge(RunPaths(log.parent), end, 1, log)
        assert "line 99" in raised.value.message
        assert "line 50" not in raised.value.message

    @pytest.mark.parametrize(
        ("code", "kind"),
        [(-15, Interrupted), (-2, UserInterrupt), (2, ConfigError), (-9, VtkError), (1, VtkError)],
    )
    def test_a_silent_end_is_judged_by_its_code(
        self, log: Path, code: int, kind: type[VtkError]
    ) -> None:
        run = create_run(log.parent, "cdpo", "mine")
        with pytest.raises(kind) as raised:
            judge(run, [], code, log)
        assert type(raised.value) is kind
        assert f"vtk train-cdpo --resume {run.root}" in str(raised.value.hint)

    def test_a_finished_run_is_no_error(self, log: Path) -> None:
        judge(RunPaths(log.parent), [{"type": "run_finished", "status": "finished"}], 0, log)
