"""The command that starts a run's processes: one, several, or several on several machines.

One process runs as `python -m vtk.worker RUN_DIR`, several through `accelerate launch`, on CPUs
through `torch.distributed.run`: accelerate starts several CPU processes only through MPI.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vtk.errors import ConfigError
from vtk.system.accelerate_files import AccelerateFile

DEFAULT_PORT = 29500
_PLAIN = ("--mixed_precision", "no", "--dynamo_backend", "no")


@dataclass(frozen=True, slots=True)
class Machines:
    """The machines of a run and which one this is.

    Attributes:
        count: How many.
        rank: This one, counted from 0; machine 0 writes the run.
        main_address: Name or address of machine 0, as the others reach it.
        main_port: A free port on it, the same in all of their commands.
    """

    count: int = 1
    rank: int = 0
    main_address: str | None = None
    main_port: int = DEFAULT_PORT

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.count:
            raise ConfigError(
                f"--machine-rank {self.rank} is none of {self.count} machines",
                f"Machines are counted from 0 to {self.count - 1}.",
            )
        if self.count > 1 and self.main_address is None:
            raise ConfigError(
                "several machines need to know where machine 0 is",
                "Give --main-address, its name or address, on every machine.",
            )


@dataclass(frozen=True, slots=True)
class Processes:
    """How a run is spread over processes.

    Attributes:
        num_processes: On all machines together; None takes what the file says, else one per
            visible GPU, or one a machine without any.
        accelerate_config: A file of `accelerate config`, or None.
        machines: The machines.
    """

    num_processes: int | None = None
    accelerate_config: AccelerateFile | None = None
    machines: Machines = Machines()

    def __post_init__(self) -> None:
        if (self.num_processes or self.machines.count) % self.machines.count:
            raise ConfigError(
                f"--num-processes {self.num_processes} is the number on all machines together, and "
                f"{self.machines.count} machines cannot share it equally"
            )

    @property
    def count(self) -> int:
        """Processes on all machines together, if this one is like the others."""
        file = self.accelerate_config
        named = self.num_processes or (None if file is None else file.num_processes)
        return named or self.machines.count * max(1, len(visible_gpus(os.environ)))

    @property
    def sharding(self) -> str | None:
        """What the file makes of `model.sharding`; None if it says nothing of it."""
        return None if self.accelerate_config is None else self.accelerate_config.sharding

    def require_sharding(self, chosen: str) -> None:
        """Hold the file against a run's `model.sharding`.

        Raises:
            ConfigError: They differ.
        """
        if self.accelerate_config is not None and self.sharding not in (None, chosen):
            raise ConfigError(
                f"{self.accelerate_config.path} asks for {self.sharding}, and model.sharding of "
                f"this run is {chosen}",
                "Leave one of the two out; a run that goes on keeps its own.",
            )


def worker_command(run_dir: Path, processes: Processes) -> tuple[list[str], dict[str, str]]:
    """The command that trains a run on this machine, and its environment.

    Args:
        run_dir: The run.
        processes: How many, and how they are set up.
    """
    environment, machines = dict(os.environ), processes.machines
    gpus = visible_gpus(environment)
    count = processes.count
    worker = ["-m", "vtk.worker", str(run_dir.absolute())]
    file = processes.accelerate_config
    if file is not None and (file.sharding is None or count > 1):
        options = ["--config_file", str(file.path)]
        if file.sharding is not None:  # which the run does by itself, without a plug-in
            options.append("--multi_gpu")
        if processes.num_processes is not None:
            options += ["--num_processes", str(count)]
        return _accelerate(*options, *_machine_options(machines), *worker), environment
    if count == 1:
        if len(gpus) > 1:  # one process must see one GPU, or the library splits every batch
            environment["CUDA_VISIBLE_DEVICES"] = gpus[0]
        return [sys.executable, *worker], environment
    if gpus:
        spread = ["--multi_gpu", "--num_processes", str(count)]
        placed = _machine_options(machines) or ["--num_machines", "1"]
        return _accelerate(*spread, *placed, *_PLAIN, *worker), environment
    here = ["--nproc_per_node", str(count // machines.count)]
    return [*_torchrun(machines), *here, *worker], environment


def visible_gpus(environ: Mapping[str, str]) -> list[str]:
    """The GPUs that a process may use, as `CUDA_VISIBLE_DEVICES` would name them."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip() not in ("", "-1")]
    from vtk.system.gpu import read_gpus

    return [str(device.index) for device in read_gpus().devices]


def _accelerate(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "accelerate.commands.launch", *arguments]


def _machine_options(machines: Machines) -> list[str]:
    if machines.count == 1:
        return []
    return [
        *("--num_machines", str(machines.count), "--machine_rank", str(machines.rank)),
        *("--main_process_ip", str(machines.main_address)),
        *("--main_process_port", str(machines.main_port)),
    ]


def _torchrun(machines: Machines) -> list[str]:
    program = [sys.executable, "-m", "torch.distributed.run"]
    if machines.count == 1:
        return [*program, "--standalone"]
    return [
        *program,
        *("--nnodes", str(machines.count), "--node_rank", str(machines.rank)),
        *("--master_addr", str(machines.main_address), "--master_port", str(machines.main_port)),
    ]
