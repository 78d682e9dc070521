"""T9: running out of memory changes how a step is made, not what it is."""

import resource
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from tests.reliability.process import fork
from vtk.errors import MemoryExhausted
from vtk.runs.store import RunPaths

MIB = 2**20


def address_space_limits(bench: Bench, spare_mib: list[int]) -> Figures:
    """The kernel refuses memory to a worker: real failed allocations, at different sizes."""
    result = Figures("T9", "Out of memory: the same step in smaller pieces, else a clear stop")
    whole = _new_run(bench)
    assert _limited(whole, None) == 0
    expected = load_file(whole.checkpoint_dir(2) / "model.safetensors")
    outcomes: list[str] = []
    differences: list[float] = []
    for spare in spare_mib:
        paths = _new_run(bench)
        code = _limited(paths, spare * MIB)
        alerts = [a for a in bench.events(paths, "alert") if a["rule"] == "out_of_memory"]
        outcomes.append(f"{spare} MiB: {len(alerts)} halvings, exit {code}")
        result.check(code in (0, MemoryExhausted.exit_code), f"{spare} MiB: exit {code}")
        if code == 0:
            found = load_file(paths.checkpoint_dir(2) / "model.safetensors")
            differences += [float((found[n] - expected[n]).abs().max()) for n in expected]
            rows, all_rows = (bench.rows(run, [1, 2]) for run in (paths, whole))
            is_same = [r["completion"] for r in rows] == [r["completion"] for r in all_rows]
            result.check(is_same, f"{spare} MiB: other completions")
    result.count = f"{len(spare_mib)} limits on a worker's address space (RLIMIT_AS)"
    result.figures = [*outcomes, f"weights differ by at most {max(differences, default=0.0):.1e}"]
    result.check(max(differences, default=0.0) < 1e-4, "the weights differ")
    return result


def _new_run(bench: Bench) -> RunPaths:
    """Clips of many tokens, so that what a step needs is much beside the process itself."""
    return bench.new_run(
        "cdpo",
        reference__path=str(bench.world.bias),
        rollout__num_generations=4,
        optim__prompts_per_device=4,
        optim__num_steps=2,
        video__num_frames=16,
        video__max_pixels_px=9_408,
        video__min_pixels_px=9_408,
        prompt__max_prompt_tokens=4096,
    )


def _limited(paths: RunPaths, spare_bytes: int | None) -> int:
    """Exit code of a worker that may map so much more than it has when it starts to generate."""

    def work() -> int:
        from vtk.train.microbatch import MicroBatch
        from vtk.worker import main

        original = MicroBatch.generate

        def limit_once(*arguments: Any) -> Any:
            patched.generate = original
            if spare_bytes is not None:
                limit = mapped_bytes() + spare_bytes
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            return original(*arguments)

        patched: Any = MicroBatch
        patched.generate = limit_once
        return main([str(paths.root)])

    return fork(work, paths.root.parent / f"{paths.run_id}.log").wait()


def mapped_bytes() -> int:
    """Address space of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
