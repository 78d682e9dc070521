"""The schema: frozen, strict, described, and free of contradictions."""

import pytest
from pydantic import ValidationError

from vtk.config.keys import known_keys
from vtk.config.schema import PUBLISHED_BETA, VtkConfig, describe_objective
from vtk.config.sections import ObjectiveSettings, OptimSettings, ReferenceSettings
from vtk.errors import ConfigError

BIAS_MODEL = ReferenceSettings(path="runs/bias-1")


def test_every_setting_has_a_sentence_and_a_default() -> None:
    keys = known_keys()
    assert len(keys) > 70
    for key in keys.values():
        assert key.description.endswith("."), key.dotted
        assert repr(key.default) != "PydanticUndefined", key.dotted


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="num_step"):
        VtkConfig.model_validate({"stage": "grpo", "optim": {"num_step": 3}})


def test_values_are_not_converted_in_silence() -> None:
    with pytest.raises(ValidationError, match="num_steps"):
        VtkConfig.model_validate({"stage": "grpo", "optim": {"num_steps": "3"}})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        OptimSettings(learning_rate=number)


def test_a_configuration_cannot_be_changed() -> None:
    config = VtkConfig(stage="grpo")
    with pytest.raises(ValidationError, match="frozen"):
        config.optim.num_steps = 7


def test_only_cdpo_gets_the_published_beta() -> None:
    assert VtkConfig(stage="cdpo", reference=BIAS_MODEL).objective.beta == PUBLISHED_BETA == -0.01
    for stage in ("bias", "grpo"):
        plain = VtkConfig.model_validate({"stage": stage})
        assert plain.objective.beta == 0
        assert plain.reference.path is None


def test_a_section_that_sets_another_field_still_gets_the_published_beta() -> None:
    hinge = ObjectiveSettings(repulsion="hinge")
    config = VtkConfig(stage="cdpo", reference=BIAS_MODEL, objective=hinge)
    assert (config.objective.beta, config.objective.repulsion) == (PUBLISHED_BETA, "hinge")


def test_cdpo_may_attract() -> None:
    config = VtkConfig(stage="cdpo", reference=BIAS_MODEL, objective=ObjectiveSettings(beta=0.01))
    assert describe_objective(config).startswith("attracts to the bias model in runs/bias-1")


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"stage": "cdpo"}, "no reference.path", "--bias-model"),
        (
            {"stage": "cdpo", "reference": {"path": "a"}, "objective": {"beta": 0.0}},
            "plain GRPO",
            "train-grpo",
        ),
        ({"stage": "grpo", "objective": {"beta": 0.1}}, "no KL term", "train-cdpo"),
        ({"stage": "bias", "objective": {"beta": -0.1}}, "no KL term", "train-cdpo"),
        (
            {"stage": "cdpo", "model": {"path": "tiny"}, "reference": {"path": "tiny"}},
            "both 'tiny'",
            "--reference self",
        ),
        (
            {
                "stage": "cdpo",
                "model": {"sharding": "fsdp2"},
                "reference": {"path": "runs/bias-1", "device": "cpu"},
            },
            "cuts the reference",
            "one of the two",
        ),
        (
            {"stage": "grpo", "guards": {"kl_budget_run": 1.0}},
            "guards.kl_budget_run is set, but this run has no reference",
            "--bias-model",
        ),
        (
            {"stage": "bias", "record": {"bias_answers": True}},
            "record.bias_answers is set",
            "leave the setting out",
        ),
        (
            {
                "stage": "grpo",
                "guards": {"logp_gap_max": 1.0},
                "rollout": {"engine": "reference"},
            },
            "does not measure that gap",
            "engine=shared",
        ),
        (
            {"stage": "grpo", "video": {"min_pixels_px": 9000, "max_pixels_px": 8000}},
            "above video.max_pixels_px",
            "lower min_pixels_px",
        ),
        (
            {"stage": "grpo", "video": {"min_pixels_px": 9000}, "eval": {"max_pixels_px": 8000}},
            "below video.min_pixels_px",
            "leave it out",
        ),
        (
            {"stage": "grpo", "reward": {"accuracy_weight": 0.0, "format_weight": 0.0}},
            "nothing is rewarded",
            "above 0",
        ),
        ({"stage": "grpo", "eval": {"judge_model": "j"}}, "no eval.judge_url", "--judge-url"),
        (
            {"stage": "grpo", "eval": {"judge_url": "https://h/v1"}},
            "no eval.judge_model",
            "--judge-model",
        ),
    ],
)
def test_a_contradiction_is_refused_with_the_way_out(
    settings: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        VtkConfig.model_validate(settings)
    assert caught.value.hint is not None
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "https://me:CANARY@judge.example/v1",
        "https://judge.example/v1?key=CANARY",
        "https://judge.example/v1#CANARY",
        "https://judge.example:CANARY/v1",
        "ftp://judge.example/CANARY",
        "https:///CANARY",
        "judge.example/CANARY",
        "https://judge.example/CANARY\n",
    ],
)
def test_a_judges_address_that_is_none_or_holds_a_secret_is_refused_unsaid(url: str) -> None:
    with pytest.raises(ConfigError, match="no plain address") as caught:
        VtkConfig.model_validate({"stage": "grpo", "eval": {"judge_url": url, "judge_model": "j"}})
    assert "CANARY" not in str(caught.value) + str(caught.value.hint)
    assert "VTK_JUDGE_KEY" in str(caught.value.hint)


@pytest.mark.parametrize(
    "url", ["https://h.example/v1", "http://[::1]:8000", "http://10.0.0.2:80/"]
)
def test_a_judges_address_may_be_any_servers(url: str) -> None:
    config = VtkConfig.model_validate(
        {"stage": "grpo", "eval": {"judge_url": url, "judge_model": "j"}}
    )
    assert config.eval.judge_url == url


def test_the_policy_as_its_own_reference_has_to_be_asked_for() -> None:
    config = VtkConfig(stage="cdpo", reference=ReferenceSettings(path="self"))
    assert (
        describe_objective(config)
        == "repels from its own starting weights (ablation), strength 0.01"
    )


@pytest.mark.parametrize(
    ("stage", "beta", "path", "repulsion", "sentence"),
    [
        ("grpo", 0.0, None, "paper", "plain GRPO, no KL term"),
        (
            "grpo",
            0.0,
            "b",
            "paper",
            "plain GRPO, no KL term; the distance to the bias model in b is only measured",
        ),
        ("cdpo", -0.05, "b", "npo", "repels from the bias model in b, strength 0.05 (npo form)"),
        ("cdpo", 1e-4, "b", "paper", "attracts to the bias model in b, strength 0.0001"),
    ],
)
def test_the_sentence_follows_from_sign_reference_and_form(
    stage: str, beta: float, path: str | None, repulsion: str, sentence: str
) -> None:
    config = VtkConfig.model_validate(
        {
            "stage": stage,
            "objective": {"beta": beta, "repulsion": repulsion},
            "reference": {"path": path},
        }
    )
    assert describe_objective(config) == sentence


def test_what_is_written_reads_back_equal() -> None:
    config = VtkConfig(stage="cdpo", reference=BIAS_MODEL)
    assert VtkConfig.model_validate_json(config.model_dump_json()) == config
