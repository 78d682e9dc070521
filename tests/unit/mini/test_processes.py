"""Worker processes: order, failure, and nothing left behind."""

import math
import multiprocessing
import operator
import os
import select
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from vtk.errors import VtkError
from vtk.mini.processes import map_in_processes, num_cores

wait_long: Callable[[], Any] = partial(select.select, [], [], [], 600.0)
wait_not: Callable[[], Any] = partial(select.select, [], [], [], 0.0)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    tasks = [9.0, 4.0, 1.0, 0.0, 16.0]
    found = list(map_in_processes(math.sqrt, tasks, workers))
    assert found == [(task, math.sqrt(task)) for task in tasks]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_rises_as_it_is(workers: int) -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(map_in_processes(math.sqrt, [1.0, -1.0, 4.0], workers))
    assert multiprocessing.active_children() == []


def test_a_killed_worker_is_told() -> None:
    with pytest.raises(VtkError, match="worker process was killed") as caught:
        list(map_in_processes(os._exit, [3, 3], 2))
    assert caught.value.hint is not None
    assert multiprocessing.active_children() == []


def test_leaving_early_ends_the_workers() -> None:
    tasks = [wait_not, wait_long, wait_long]
    with closing(map_in_processes(operator.call, tasks, 2)) as results:
        assert next(results)[0] is wait_not
        assert multiprocessing.active_children() != []
    assert multiprocessing.active_children() == []


def test_cores_are_those_of_this_process() -> None:
    assert 1 <= num_cores() <= (os.cpu_count() or 1)
