"""What starts next, and how long the rest takes."""

import pytest

from vtk.demo.plan import FULL, Gauge, Step, demo_settings, plan_steps
from vtk.demo.schedule import pace, remaining_s, startable


def step(name: str, *needs: str, cost_s: float = 10.0) -> Step:
    return Step(name, name, ("--version",), needs, Gauge("none"), cost_s)


DIAMOND = [
    step("a"),
    step("b", "a", cost_s=20),
    step("c", "a", cost_s=30),
    step("d", "b"),
    step("e", "c", "d", cost_s=5),
]


def names(steps: list[Step]) -> list[str]:
    return [one.name for one in steps]


def test_steps_start_in_the_plan_s_order_as_lanes_become_free() -> None:
    assert names(startable(DIAMOND, set(), set(), 2)) == ["a"]
    assert names(startable(DIAMOND, {"a"}, set(), 2)) == ["b", "c"]
    assert names(startable(DIAMOND, {"a"}, set(), 1)) == ["b"]
    assert names(startable(DIAMOND, {"a"}, {"b"}, 2)) == ["c"]
    assert names(startable(DIAMOND, {"a", "b"}, {"c", "d"}, 2)) == []
    assert names(startable(DIAMOND, {"a", "b", "c", "d", "e"}, set(), 2)) == []


def test_remaining_time_is_that_of_playing_the_plan_through() -> None:
    assert remaining_s(DIAMOND, {}, set(), 2) == 10 + 30 + 5
    assert remaining_s(DIAMOND, {}, set(), 1) == 75
    assert remaining_s(DIAMOND, {"a": 1.0, "b": 0.5, "c": 0.9}, {"b", "c"}, 2) == 10 + 10 + 5
    assert remaining_s(DIAMOND, {}, set(), 2, slowness=3) == 135
    assert remaining_s(DIAMOND, dict.fromkeys("abcde", 1.0), set(), 2) == 0


def test_pace_is_measured_time_over_expected_time() -> None:
    assert pace(DIAMOND, {"a": 1.0, "b": 0.5}, {"a": 30.0, "b": 10.0}) == 2.0
    assert pace(DIAMOND, {"b": 0.01}, {"b": 99.0}) == 1.0, "too little was done to judge by"
    assert pace(DIAMOND, {}, {}) == 1.0


@pytest.mark.parametrize("has_variants", [False, True])
@pytest.mark.parametrize("is_quick", [False, True])
def test_every_plan_can_be_played_to_its_end(is_quick: bool, has_variants: bool) -> None:
    steps = plan_steps(demo_settings(is_quick=is_quick, has_variants=has_variants))
    assert len({one.name for one in steps}) == len(steps)
    done: set[str] = set()
    while ready := startable(steps, done, set(), 2):
        done |= {one.name for one in ready}
    assert done == {one.name for one in steps}


def test_two_lanes_are_nearly_twice_as_quick_as_one() -> None:
    steps = plan_steps(FULL)
    assert remaining_s(steps, {}, set(), 2) < 0.62 * remaining_s(steps, {}, set(), 1)
