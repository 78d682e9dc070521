"""Which command starts a run's processes, and what is refused before anything starts."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from vtk.config.files import presets_dir
from vtk.errors import ConfigError
from vtk.system.launchers import (
    Machines,
    Processes,
    find_accelerate_config,
    visible_gpus,
    worker_command,
)

RUN = Path("/runs/one")
SHIPPED = sorted((presets_dir() / "accelerate").glob("*.yaml"))
SECOND_OF_TWO = Machines(2, 1, "node-0", 4711)


def test_one_process_is_plain_and_several_go_through_accelerate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    alone, environment = worker_command(RUN, Processes(num_processes=1))
    assert alone[1:] == ["-m", "vtk.worker", str(RUN)]
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    both, environment = worker_command(RUN, Processes())
    assert "accelerate.commands.launch" in both
    assert both[both.index("--num_processes") + 1] == "2"
    assert environment["CUDA_VISIBLE_DEVICES"] == "3,5"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    on_cpu, _ = worker_command(RUN, Processes(2))
    assert on_cpu[2:6] == ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    chosen, _ = worker_command(RUN, Processes(1, Path("my.yaml")))
    assert chosen[chosen.index("--config_file") + 1] == "my.yaml"


def test_visible_gpus_are_those_of_the_environment() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0, 2"}) == ["0", "2"]


def test_several_machines_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    command, _ = worker_command(RUN, Processes(machines=SECOND_OF_TWO))
    parsed = _accelerate_reads(command)
    assert (parsed.num_processes, parsed.num_machines, parsed.machine_rank) == (8, 2, 1)
    assert (parsed.main_process_ip, parsed.main_process_port) == ("node-0", 4711)
    assert parsed.multi_gpu


def test_several_machines_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    command, _ = worker_command(RUN, Processes(6, machines=SECOND_OF_TWO))
    options = dict(pairwise(command[3:]))
    assert command[2] == "torch.distributed.run"
    assert options["--nproc_per_node"] == "3"
    assert (options["--nnodes"], options["--node_rank"]) == ("2", "1")
    assert (options["--master_addr"], options["--master_port"]) == ("node-0", "4711")


def test_machines_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="--machine-rank 2 is none of 2"):
        Machines(2, 2, "node-0")
    with pytest.raises(ConfigError, match="where machine 0 is"):
        Machines(2, 0)
    with pytest.raises(ConfigError, match="cannot share it equally"):
        Processes(3, machines=SECOND_OF_TWO)


def _accelerate_reads(command: list[str]) -> Any:
    """The library's own reading of a command that we made, with defaults and checks applied."""
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    parsed, _, _ = _validate_launch_command(launch_command_parser().parse_args(command[3:]))
    return parsed


def test_files_are_shipped() -> None:
    assert {"one-gpu", "8-gpu", "two-machines"} <= {path.stem for path in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_what_accelerate_reads(path: Path) -> None:
    file = find_accelerate_config(Path(path.stem))
    assert file == path
    machines = SECOND_OF_TWO if path.stem == "two-machines" else Machines()
    command, _ = worker_command(RUN, Processes(accelerate_config=file, machines=machines))
    parsed = _accelerate_reads(command)
    numbers = {"one-gpu": 1, "8-gpu": 8, "two-machines": 16}
    assert parsed.num_processes == numbers[path.stem]
    assert parsed.num_machines == machines.count
    assert parsed.mixed_precision == "no"
    assert not parsed.use_fsdp
    assert not parsed.use_deepspeed


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
@pytest.mark.parametrize("form", ["distributed_type: {}\n", '{{"distributed_type": "{}"}}'])
def test_a_file_that_shards_is_refused(tmp_path: Path, kind: str, form: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("debug: false\n" * ("{{" not in form) + form.format(kind))
    with pytest.raises(ConfigError, match=f"asks for {kind}") as refused:
        find_accelerate_config(file)
    assert "model.sharding=fsdp2" in str(refused.value.hint)


def test_what_is_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no accelerate configuration zero3") as refused:
        find_accelerate_config(Path("zero3"))
    assert "8-gpu" in str(refused.value.hint)
    file = tmp_path / "own.yaml"
    file.write_text("learning_rate: 1\n")
    with pytest.raises(ConfigError, match="no distributed_type"):
        find_accelerate_config(file)
