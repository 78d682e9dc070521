"""Which command starts a run's processes, and what is refused before anything starts."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from vtk.config.files import presets_dir
from vtk.errors import ConfigError
from vtk.system.accelerate_files import AccelerateFile, find_accelerate_file
from vtk.system.launchers import (
    Machines,
    Processes,
    visible_gpus,
    worker_command,
)

RUN = Path("/runs/one")
SHIPPED = sorted((presets_dir() / "accelerate").glob("*.yaml"))
SECOND_OF_TWO = Machines(2, 1, "node-0", 4711)
NO_OFFLOAD = {"offload_optimizer_device": "none", "offload_param_device": "none"}


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
    chosen, _ = worker_command(RUN, Processes(1, AccelerateFile(Path("my.yaml"))))
    assert chosen[chosen.index("--config_file") + 1] == "my.yaml"
    one_to_cut = AccelerateFile(Path("my.yaml"), num_processes=8, sharding="zero2")
    assert worker_command(RUN, Processes(1, one_to_cut))[0] == alone, "one has nobody to share with"


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
    assert len(SHIPPED) == len(SHIPPED_FILES)


# Processes, and what is cut over them.
SHIPPED_FILES: dict[str, tuple[int, str | None]] = {
    "one-gpu": (1, None),
    "8-gpu": (8, None),
    "8-gpu-fsdp2": (8, "fsdp2"),
    "8-gpu-zero2": (8, "zero2"),
    "8-gpu-zero3": (8, "fsdp2"),
    "two-machines": (16, None),
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_what_accelerate_reads(path: Path) -> None:
    file = find_accelerate_file(Path(path.stem))
    assert file == AccelerateFile(path, *SHIPPED_FILES[path.stem])
    machines = SECOND_OF_TWO if path.stem == "two-machines" else Machines()
    processes = Processes(accelerate_config=file, machines=machines)
    parsed = _accelerate_reads(worker_command(RUN, processes)[0])
    assert parsed.num_processes == processes.count == file.num_processes
    assert parsed.num_machines == machines.count
    assert parsed.multi_gpu == (processes.count > 1)
    assert parsed.mixed_precision == "no"
    assert not parsed.use_fsdp
    assert not parsed.use_deepspeed


@pytest.mark.parametrize(
    ("kind", "section", "sharding"),
    [
        ("DEEPSPEED", {"deepspeed_config": {"zero_stage": 0}}, "none"),
        ("DEEPSPEED", {"deepspeed_config": {"zero_stage": 2}}, "zero2"),
        ("DEEPSPEED", {"deepspeed_config": {"zero_stage": 3, **NO_OFFLOAD}}, "fsdp2"),
        ("FSDP", {}, "fsdp2"),
        ("FSDP", {"fsdp_config": {"fsdp_reshard_after_forward": True}}, "fsdp2"),
        ("FSDP", {"fsdp_config": {"fsdp_reshard_after_forward": False}}, "zero2"),
        ("FSDP", {"fsdp_config": {"fsdp_sharding_strategy": "SHARD_GRAD_OP"}}, "zero2"),
        ("FSDP", {"fsdp_config": {"fsdp_sharding_strategy": "NO_SHARD"}}, "none"),
        ("MULTI_GPU", {}, None),
    ],
)
def test_what_a_file_cuts_becomes_the_runs_sharding(
    tmp_path: Path, kind: str, section: dict[str, Any], sharding: str | None
) -> None:
    content = {"distributed_type": kind, "num_processes": 4} | section
    for name, text in (("own.yaml", yaml.safe_dump(content)), ("own.json", json.dumps(content))):
        (tmp_path / name).write_text(text)
        found = find_accelerate_file(tmp_path / name)
        assert (found.sharding, found.num_processes) == (sharding, 4)
        parsed = _accelerate_reads(worker_command(RUN, Processes(accelerate_config=found))[0])
        assert (parsed.multi_gpu, parsed.use_fsdp, parsed.use_deepspeed) == (True, False, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distributed_type: MEGATRON_LM\n", "asks for MEGATRON_LM"),
        ("distributed_type: DEEPSPEED\ndeepspeed_config: {zero_stage: 1}\n", "does not know: 1"),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config: {deepspeed_config_file: x.json}\n",
            "None",
        ),
        (
            "distributed_type: DEEPSPEED\n"
            "deepspeed_config: {zero_stage: 3, offload_param_device: cpu}\n",
            "asks for offload_param_device: cpu",
        ),
        (
            "distributed_type: FSDP\nfsdp_config: {fsdp_offload_params: true}\n",
            "asks for fsdp_offload_params: True",
        ),
        (
            "distributed_type: FSDP\nfsdp_config: {fsdp_sharding_strategy: HYBRID_SHARD}\n",
            "does not know: HYBRID_SHARD",
        ),
        ("learning_rate: 1\n", "no distributed_type"),
        ("- 1\n", "no distributed_type"),
        ("{", "no accelerate configuration"),
    ],
)
def test_files_that_a_run_cannot_follow_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        find_accelerate_file(file)


def test_a_name_that_is_not_shipped() -> None:
    with pytest.raises(ConfigError, match="no accelerate configuration zero9") as refused:
        find_accelerate_file(Path("zero9"))
    assert "8-gpu-zero3" in str(refused.value.hint)


def test_a_file_and_a_run_that_differ_are_refused() -> None:
    processes = Processes(accelerate_config=AccelerateFile(Path("my.yaml"), 8, "zero2"))
    processes.require_sharding("zero2")
    with pytest.raises(ConfigError, match=r"asks for zero2, and model\.sharding of this"):
        processes.require_sharding("none")
    Processes(accelerate_config=AccelerateFile(Path("my.yaml"), 8)).require_sharding("fsdp2")
