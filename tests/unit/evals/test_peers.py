"""Two real processes that meet through gloo: who is told what, and the loss of one of them."""

import json
import os
import sys
from pathlib import Path

import pytest

from vtk.errors import VtkError
from vtk.evals.peers import ALONE, meet_peers, num_peers, take_own_gpu
from vtk.system.together import LEFT_WITH_OTHERS, run_together

PROGRAM = """
import json, os, sys
from pathlib import Path
from vtk.errors import DataError, Interrupted
from vtk.evals.peers import PeerGone, meet_peers

seen = {}
with meet_peers() as peers:
    seen["told"] = peers.told_by_main(["a", peers.rank])
    with peers.main_first():
        seen["first"] = sorted(path.name for path in Path(sys.argv[1]).iterdir())
        Path(sys.argv[1], f"came-{peers.rank}").touch()
    peers.wait_for_all()
    try:
        with peers.main_first():
            seen["went on"] = peers.rank
            raise DataError("no clips")
    except DataError:
        seen["failed"] = peers.rank
    except SystemExit as leaving:
        seen["left"] = leaving.code
    Path(sys.argv[1], f"seen-{peers.rank}.json").write_text(json.dumps(seen))
    if peers.rank == 1:
        os._exit(0)
    for should_stop in (lambda: True, lambda: False):
        try:
            peers.wait_for_all(should_stop)
        except (PeerGone, Interrupted) as gone:
            print(type(gone).__name__, "repeat the command" in gone.hint)
"""


def test_processes_agree_and_the_loss_of_one_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    said = run_together(command, 2, "again", is_captured=True)
    assert said == "Interrupted True\nPeerGone True\n"
    main, other = (json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in (0, 1))
    assert main["told"] == other["told"] == ["a", 0]
    assert (main["first"], other["first"]) == ([], ["came-0"])
    assert (main["went on"], main["failed"]) == (0, 0)
    assert other["left"] == LEFT_WITH_OTHERS
    assert "went on" not in other


def test_a_process_alone_needs_no_launcher() -> None:
    assert num_peers({}) == num_peers({"RANK": "1", "WORLD_SIZE": "4"}) == 1
    assert num_peers({"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1"}) == 4
    with meet_peers({}) as peers:
        assert peers is ALONE
        assert peers.told_by_main(3) == 3
        peers.wait_for_all()
        with pytest.raises(KeyError), peers.main_first():
            raise KeyError("rises as it is")


def test_each_process_sees_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    take_own_gpu(os.environ, ["2", "3"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    with pytest.raises(VtkError, match="finds 1 GPUs"):
        take_own_gpu(os.environ, ["3"])
    take_own_gpu(os.environ, [])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
