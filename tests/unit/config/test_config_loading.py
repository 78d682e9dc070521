"""Loading: the order of the layers, the place of each value, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from vtk.config.keys import OTHER_NAMES, closest_keys, known_keys
from vtk.config.loading import Resolved, load_config
from vtk.errors import ConfigError


def load(**given: Any) -> Resolved:
    return load_config("grpo", **{"environ": {}, **given})


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "my.toml"
    path.write_text("seed = 7\n\n[optim]\nnum_steps = 11\nlearning_rate = 1e-5\n", encoding="utf-8")
    return path


def test_each_layer_wins_over_the_one_below(toml: Path) -> None:
    key, variable = "optim.num_steps", {"VTK_OPTIM__NUM_STEPS": "12"}
    layers: list[dict[str, Any]] = [
        {},
        {"preset": "tiny"},
        {"preset": "tiny", "config_file": toml},
        {"preset": "tiny", "config_file": toml, "environ": variable},
        {"preset": "tiny", "config_file": toml, "environ": variable, "overrides": {key: 13}},
    ]
    resolved = [load(**layer) for layer in layers]
    steps = [one.config.optim.num_steps for one in resolved]
    assert steps[0] == 500
    assert steps[2:] == [11, 12, 13]
    assert steps[1] not in (500, 11)
    assert [one.provenance[key] for one in resolved] == [
        "default",
        "preset tiny",
        f"{toml}:4",
        "env VTK_OPTIM__NUM_STEPS",
        "command line",
    ]


def test_every_setting_has_a_source() -> None:
    resolved = load(preset="3b-24gb")
    assert set(resolved.provenance) == set(known_keys()) == set(resolved.flat())
    assert set(resolved.provenance.values()) >= {"default", "preset 3b-24gb"}


def test_a_stage_table_wins_over_the_common_one_for_its_stage_only(tmp_path: Path) -> None:
    path = tmp_path / "stages.toml"
    path.write_text("[bias.optim]\nnum_steps = 3\n[optim]\nnum_steps = 5\n", encoding="utf-8")
    steps = [
        load_config(stage, config_file=path, environ={}).config.optim.num_steps
        for stage in ("bias", "grpo")
    ]
    assert steps == [3, 5]


def test_the_config_of_a_run_can_be_given_back(tmp_path: Path) -> None:
    first = load(preset="tiny", overrides={"optim.num_steps": 9})
    path = tmp_path / "config.json"
    document = {"config": first.config.model_dump(mode="json"), "provenance": first.provenance}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert load(config_file=path).config == first.config


def test_the_config_of_another_stage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"config": {"stage": "bias"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="made for stage bias"):
        load(config_file=path)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("optim.learning_rate", "1e-5", 1e-5),
        ("optim.num_steps", "20", 20),
        ("lora.enabled", "true", True),
        ("lora.target_modules", "q_proj, v_proj", ["q_proj", "v_proj"]),
        ("lora.target_modules", '["q_proj", "v_proj"]', ["q_proj", "v_proj"]),
        ("model.path", "123", "123"),
        ("model.dtype", "bfloat16", "bfloat16"),
        ("eval.num_samples", "none", None),
        ("guards.entropy_floor", "0.5", 0.5),
        ("video.fps", "None", None),
    ],
)
def test_text_is_read_as_the_type_that_the_setting_holds(
    key: str, text: str, value: object
) -> None:
    assert load(overrides={key: text}).flat()[key] == value
    name = "VTK_" + key.upper().replace(".", "__")
    assert load(environ={name: text}).flat()[key] == value


def test_none_on_the_command_line_means_not_given() -> None:
    assert load(overrides={"optim.num_steps": None}).provenance["optim.num_steps"] == "default"


def test_none_in_toml_switches_an_optional_setting_off(tmp_path: Path) -> None:
    path = tmp_path / "off.toml"
    path.write_text('[guards]\nentropy_floor = "none"\n', encoding="utf-8")
    resolved = load(preset="tiny", config_file=path)
    assert resolved.config.guards.entropy_floor is None
    assert load(preset="tiny").config.guards.entropy_floor is not None


def test_other_vtk_variables_are_not_settings() -> None:
    environ = {"VTK_DATA_DIR": "/data", "VTK_DEBUG": "1", "HOME": "/root", "VTK_SEED": "5"}
    resolved = load(environ=environ)
    assert resolved.config.seed == 5
    assert resolved.provenance["seed"] == "env VTK_SEED"


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"overrides": {"optim.num_step": 3}}, "'optim.num_step'", "optim.num_steps"),
        ({"overrides": {"learning_rate": 1.0}}, "'learning_rate'", "optim.learning_rate"),
        ({"overrides": {"optim.lr": 1.0}}, "'optim.lr'", "optim.learning_rate"),
        ({"environ": {"VTK_MODEL__PAHT": "x"}}, "env VTK_MODEL__PAHT", "model.path"),
        ({"overrides": {"optim.num_steps": "many"}}, "'many'", "Optimizer steps"),
        ({"overrides": {"optim.num_steps": 0}}, "greater than or equal to 1", "Optimizer steps"),
        ({"overrides": {"model.dtype": "float16"}}, "'bfloat16'", "Number format"),
        ({"preset": "tny"}, "'tny'", "Did you mean tiny"),
        ({"config_file": Path("absent.toml")}, "No such file", "config cp"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_meant(
    given: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**given)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[optim]\n# rate\nlearning_rat = 1\n", "my.toml:3"),
        ("[optim]\nlearning_rate = 'fast'\n", "my.toml:2"),
        ("optim.nun_steps = 4\n", "my.toml:1"),
        ("[bias.optim]\nnun_steps = 4\n", "my.toml:2"),
        ("[optim\n", "line 1"),
        ("[optm]\n", "my.toml:1"),
    ],
)
def test_a_fault_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config_file=path)
    assert place in caught.value.message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(config_file=path)


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match="'cdop'") as caught:
        load_config("cdop", environ={})
    assert caught.value.hint == "Did you mean cdpo? Stages: bias, cdpo, grpo."


def test_the_bias_model_may_be_missing_only_where_nothing_is_trained() -> None:
    shown = load_config("cdpo", "tiny", environ={}, is_reference_needed=False)
    assert shown.config.objective.beta < 0
    with pytest.raises(ConfigError, match=r"no reference\.path"):
        load_config("cdpo", "tiny", environ={})


@pytest.mark.parametrize("foreign", sorted(OTHER_NAMES))
def test_names_from_other_tools_lead_to_ours(foreign: str) -> None:
    assert closest_keys(f"optim.{foreign}")[0] == OTHER_NAMES[foreign]
    assert OTHER_NAMES[foreign] in known_keys()
