"""The pipeline with real commands: order, failure, Ctrl-C, and going on."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from vtk.demo.child import Child
from vtk.demo.folder import DemoFolder, Record, claim_folder, read_record
from vtk.demo.pipeline import DemoView, Pipeline, shared_environment
from vtk.demo.plan import BASE_RUN, Gauge, Step
from vtk.errors import ConfigError, DataError, Interrupted, UserInterrupt
from vtk.runs.store import create_run
from vtk.runs.writer import EventWriter


class Notes:
    """Keeps what a demo reports."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.views: list[DemoView] = []
        self.interrupt_when_running = ""

    def kept(self, step: Step, command: str) -> None:
        self.said.append(("kept", step.name))

    def started(self, step: Step, command: str) -> None:
        self.said.append(("started", step.name))

    def progressed(self, view: DemoView) -> None:
        self.views.append(view)

    def ended(self, step: Step, wall_s: float) -> None:
        assert wall_s > 0
        self.said.append(("ended", step.name))

    def stopping(self, num_running: int) -> None:
        self.said.append(("stopping", str(num_running)))


def step(name: str, *arguments: str, needs: tuple[str, ...] = ()) -> Step:
    return Step(name, name, arguments, needs, Gauge("none"), 1.0)


def long_download(tmp_path: Path) -> Step:
    """A real command that takes minutes."""
    where = str(tmp_path / "data")
    return step("long", "download", "clevrer-mini", "--scenes", "900", "--data-dir", where)


def pipeline(folder: DemoFolder, steps: list[Step], notes: Notes, num_lanes: int = 2) -> Pipeline:
    record = claim_folder(folder, {"seed": 0}, is_forced=False)
    return Pipeline(
        steps, folder, record, notes, num_lanes, shared_environment(folder), "vtk demo --seed 0"
    )


@pytest.fixture
def folder(tmp_path: Path) -> DemoFolder:
    return DemoFolder(tmp_path / "demo")


@pytest.fixture
def notes() -> Notes:
    return Notes()


def test_steps_run_in_order_and_are_not_repeated(folder: DemoFolder, notes: Notes) -> None:
    steps = [
        step("list", "runs", "list", "--json"),
        step("version", "--version", needs=("list",)),
    ]
    pipeline(folder, steps, notes).run()
    assert notes.said == [
        ("started", "list"), ("ended", "list"), ("started", "version"), ("ended", "version"),
    ]  # fmt: skip
    assert (folder.logs_dir / "version.out").read_text().startswith("vtk ")
    assert (folder.logs_dir / "list.out").read_text().strip() == "[]", "looked into its own runs"
    assert read_record(folder.record).of("version").command == "vtk --version"
    again = Notes()
    pipeline(folder, steps, again).run()
    assert again.said == [("kept", "list"), ("kept", "version")]


def test_a_step_whose_command_changed_is_run_again(folder: DemoFolder, notes: Notes) -> None:
    pipeline(folder, [step("list", "runs", "list")], notes).run()
    again = Notes()
    pipeline(folder, [step("list", "runs", "list", "--json")], again).run()
    assert again.said == [("started", "list"), ("ended", "list")]
    assert read_record(folder.record).of("list").command == "vtk runs list --json"


def train_step() -> Step:
    words = ("train-bias", "--name", "bias")
    return Step("train-bias", "bias", words, (), Gauge("train", 3, "bias"), 1.0)


def test_a_training_that_ended_while_nobody_waited_is_done(
    folder: DemoFolder, notes: Notes
) -> None:
    resumed = pipeline(folder, [train_step()], notes)
    with EventWriter(create_run(folder.runs_dir, "bias", "bias")) as writer:
        writer.step(3, {})
        writer.finish("finished")
    resumed.run()
    assert notes.said == [("kept", "train-bias")]
    assert read_record(folder.record).of("train-bias").command == "vtk train-bias --name bias"


def test_what_ends_well_while_the_demo_is_stopped_is_done(folder: DemoFolder, notes: Notes) -> None:
    quick = step("version", "--version")
    stopped = pipeline(folder, [quick], notes)
    child = Child(quick.arguments, shared_environment(folder), folder.logs_dir, quick.name)
    while child.poll() is None:
        time.sleep(0.05)
    stopped._running = {quick.name: (quick, child)}
    stopped._stop_all()
    assert notes.said == [("stopping", "1"), ("ended", "version")]
    assert read_record(folder.record).of("version").is_done


def test_a_failing_command_keeps_its_exit_code_and_its_last_words(
    folder: DemoFolder, notes: Notes
) -> None:
    steps = [
        step("good", "--version"),
        step("bad", "config", "show", "no-such-preset", needs=("good",)),
        step("never", "--version", needs=("bad",)),
    ]
    with pytest.raises(ConfigError) as caught:
        pipeline(folder, steps, notes).run()
    assert caught.value.exit_code == 2
    assert "the step bad failed with exit code 2" in caught.value.message
    assert "no-such-preset" in caught.value.message
    assert str(folder.logs_dir / "bad.log") in (caught.value.hint or "")
    assert ("started", "never") not in notes.said
    record = read_record(folder.record)
    assert record.of("good").is_done
    assert not record.of("bad").is_done


def test_a_failure_stops_what_runs_beside_it(
    folder: DemoFolder, notes: Notes, tmp_path: Path
) -> None:
    steps = [long_download(tmp_path), step("bad", "split", "clevrer")]
    with pytest.raises(DataError):
        pipeline(folder, steps, notes).run()
    assert notes.said[-1] == ("stopping", "1")
    assert processes_naming(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGINT, UserInterrupt),
        (signal.SIGTERM, Interrupted),
        (signal.SIGHUP, Interrupted),
    ],
)
def test_a_signal_ends_the_children_and_says_how_to_go_on(
    folder: DemoFolder,
    notes: Notes,
    tmp_path: Path,
    number: signal.Signals,
    error: type[UserInterrupt | Interrupted],
) -> None:
    def interrupt_once_it_writes() -> None:
        marker = tmp_path / "data" / "clevrer-mini" / "world.json"
        deadline_s = time.monotonic() + 120
        while not marker.exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt_once_it_writes)
    thread.start()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(error) as caught:
        pipeline(folder, [long_download(tmp_path)], notes).run()
    thread.join()
    assert "Go on with: vtk demo --seed 0" in (caught.value.hint or "")
    assert notes.said == [("started", "long"), ("stopping", "1")]
    assert processes_naming(str(tmp_path)) == []
    assert read_record(folder.record).of("long").wall_s > 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_base_model_s_run_is_put_into_later_commands(folder: DemoFolder, notes: Notes) -> None:
    record = claim_folder(folder, {"seed": 0}, is_forced=False)
    record.facts["base_run"] = "eval-20260101-120000"
    record.write()
    with pytest.raises(DataError, match="eval-20260101-120000"):
        pipeline(folder, [step("compare", "compare", BASE_RUN, "grpo")], notes).run()


def test_progress_is_reported_with_the_time_left(
    folder: DemoFolder, notes: Notes, tmp_path: Path
) -> None:
    steps = [step("one", "--version"), step("two", "runs", "list", needs=("one",))]
    pipeline(folder, steps, notes, num_lanes=1).run()
    assert notes.views
    assert all(view.num_steps == 2 and view.left_s >= 0 for view in notes.views)


def test_a_command_killed_from_outside_is_a_failure(tmp_path: Path) -> None:
    where = str(tmp_path / "data")
    words = ("download", "clevrer-mini", "--scenes", "900", "--data-dir", where)
    child = Child(words, {}, tmp_path / "logs", "long")
    child.end()
    code = child.poll()
    assert code is not None
    assert code < 0
    assert "was ended by signal" in child.failure(code).message
    assert processes_naming(where) == []


def test_a_record_from_elsewhere_is_not_trusted_without_its_files(
    folder: DemoFolder, notes: Notes
) -> None:
    record: Record = claim_folder(folder, {"seed": 0}, is_forced=False)
    record.of("split").command = "vtk split clevrer-mini"
    record.write()
    split = Step("split", "split", ("split", "clevrer-mini"), (), Gauge("split"), 1.0)
    with pytest.raises(DataError):
        pipeline(folder, [split], notes).run()
    assert notes.said[0] == ("started", "split")


def test_a_finished_training_of_another_plan_is_named_with_the_way_out(
    folder: DemoFolder, notes: Notes
) -> None:
    record = claim_folder(folder, {"seed": 0}, is_forced=False)
    record.of("bias").command = "vtk train-bias --preset older"
    record.write()
    with EventWriter(create_run(folder.runs_dir, "bias", "bias", argv=["vtk"], config={})) as log:
        log.finish("finished")
    bias = Step("bias", "bias", ("train-bias",), (), Gauge("train", 1, "bias"), 1.0)
    with pytest.raises(ConfigError, match="--preset older") as caught:
        pipeline(folder, [bias], notes).run()
    assert "--force" in (caught.value.hint or "")
    assert notes.said == []


def processes_naming(text: str) -> list[str]:
    """Command lines of living processes that name `text`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if text in words and "pytest" not in words:
            found.append(words)
    return found
