"""A model named by its hub id: what is here needs no network, and a dead one is told at once."""

import json
import shutil
from pathlib import Path

import pytest

from tests.reliability.web import Site, serving
from vtk.cli.console import Console
from vtk.cli.setup import fetch_model
from vtk.config.loading import load_config
from vtk.config.sections import ModelSettings
from vtk.errors import DataError, NetworkError
from vtk.models import hub_cache
from vtk.models.hub_cache import located
from vtk.models.loader import load_policy
from vtk.models.tiny import tiny_model_dir
from vtk.system.backbone import backbone_source
from vtk.train.policy import load_start
from vtk.train.reference import load_reference

REPO, REVISION = "me/mine", "0123456789" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a network that may be used."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_cache, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


def put(cache: Path, **files: str) -> Path:
    root = cache / "models--me--mine"
    snapshot = root / "snapshots" / REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(REVISION)
    for name, content in files.items():
        (snapshot / name.replace("__", ".").replace("_OF_", "-")).write_text(content)
    return snapshot


def test_a_folder_and_what_the_cache_has_need_no_network(tmp_path: Path, cache: Path) -> None:
    assert located(tmp_path) == tmp_path
    snapshot = put(cache, model__safetensors="")
    assert located(REPO) == snapshot


def test_all_shards_have_to_be_here(cache: Path) -> None:
    index = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
    snapshot = put(cache, one__safetensors="")
    (snapshot / "model.safetensors.index.json").write_text(index)
    with pytest.raises(NetworkError, match="cannot be reached"):
        located(REPO)
    put(cache, two__safetensors="")
    assert located(REPO) == snapshot


def test_a_dead_network_is_one_error_with_the_way_out() -> None:
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        load_policy(REPO, ModelSettings(path=REPO))
    assert "offline" in str(caught.value.hint)


def test_a_hub_that_answers_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Site()) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        assert located(REPO) == REPO


def test_without_leave_to_ask_the_hint_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_cache, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="not on this disk") as caught:
        located(REPO)
    assert f"vtk setup --model {REPO}" in str(caught.value.hint)


def test_setup_fetches_any_model_with_the_projects_own_engine_and_it_loads_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site()
    files = {path.name: path.read_bytes() for path in tiny_model_dir().iterdir() if path.is_file()}
    revision = site.add_repository(
        "model", REPO, files | {"evil.py": b"", "pytorch_model.bin": b""}
    )
    with serving(site) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = Path(fetch_model(Console(False), backbone_source(REPO), tmp_path, False))
    assert folder.name == revision
    assert "model.safetensors" in {path.name for path in folder.iterdir()}
    assert not {"evil.py", "pytorch_model.bin"} & {path.name for path in folder.iterdir()}
    assert located(REPO) == folder  # the server is gone
    model, _ = load_policy(REPO, ModelSettings(path=REPO, dtype="float32"))
    assert model.config.model_type == "qwen2_5_vl"


@pytest.mark.parametrize("is_named_by_its_folder", [False, True])
def test_a_bias_adapter_lies_on_the_policys_own_base(
    tmp_path: Path, cache: Path, is_named_by_its_folder: bool
) -> None:
    """Checkpoints of earlier versions name the snapshot's folder; it is the same model."""
    snapshot = put(cache)
    shutil.copytree(tiny_model_dir(), snapshot, dirs_exist_ok=True)
    settings = {"model.path": REPO, "model.dtype": "float32", "lora.enabled": True, "lora.rank": 2}
    config = load_config("bias", "tiny", None, settings, environ={}).config
    bias = load_start(REPO, None, config).policy
    bias.save_pretrained(tmp_path / "bias", save_embedding_layers=False)
    written = tmp_path / "bias" / "adapter_config.json"
    facts = json.loads(written.read_text())
    assert facts["base_model_name_or_path"] == REPO
    if is_named_by_its_folder:
        written.write_text(json.dumps(facts | {"base_model_name_or_path": str(snapshot)}))
    policy = load_start(REPO, None, config).policy
    reference = load_reference(policy, tmp_path / "bias", REPO, config)
    assert (reference.kind, reference.model) == ("adapter", None)
