"""The plan: real commands, the same questions for all, one thing different per variant."""

import shlex

from vtk.demo.plan import (
    BASE_RUN,
    FULL,
    QUICK,
    DemoSettings,
    Step,
    betas_of,
    demo_settings,
    models_of,
    plan_steps,
    resume_arguments,
)


def commands(settings: DemoSettings) -> dict[str, str]:
    return {step.name: shlex.join(step.arguments) for step in plan_steps(settings)}


def step_of(settings: DemoSettings, name: str) -> Step:
    return next(step for step in plan_steps(settings) if step.name == name)


def test_a_demo_is_the_commands_that_a_user_would_type() -> None:
    typed = commands(demo_settings(is_quick=False, seed=7))
    assert list(typed) == [
        "download", "split", "eval-base", "train-bias", "train-grpo", "train-cdpo",
        "eval-bias", "eval-grpo", "eval-cdpo", "compare",
    ]  # fmt: skip
    assert typed["download"] == (
        f"download clevrer-mini --scenes {FULL.num_scenes} "
        f"--validation-scenes {FULL.num_validation_scenes} --seed 7"
    )
    assert typed["train-bias"] == (
        f"train-bias --preset tiny --max-steps {FULL.num_bias_steps} --seed 7 --name bias"
    )
    assert typed["train-cdpo"] == (
        "train-cdpo --preset tiny --bias-model bias --beta -0.05 "
        f"--max-steps {FULL.num_policy_steps} --seed 7 --name cdpo"
    )


def test_all_models_are_asked_in_the_same_way() -> None:
    typed = commands(demo_settings(is_quick=True, seed=3, has_variants=True))
    asked = {name: words for name, words in typed.items() if name.startswith("eval-")}
    assert len(asked) == 10
    how = {words.split(" --temperature ")[1] for words in asked.values()}
    assert how == {f"1 --samples-per-question {QUICK.num_draws} --seed 3 --json"}


def test_cdpo_waits_for_the_bias_model_and_repulsion_from_itself_does_not() -> None:
    settings = demo_settings(is_quick=True, has_variants=True)
    assert step_of(settings, "train-cdpo").needs == ("train-bias",)
    assert step_of(settings, "train-cdpo-npo").needs == ("train-bias",)
    assert step_of(settings, "train-cdpo-self").needs == ("split",)
    assert step_of(settings, "train-grpo").needs == ("split",)


def test_each_variant_differs_from_cdpo_in_one_thing() -> None:
    settings = demo_settings(is_quick=False, has_variants=True)
    typed = commands(settings)
    cdpo = typed["train-cdpo"].removesuffix(" --name cdpo")
    changed = {
        "self": cdpo.replace("--bias-model bias", "--bias-model self"),
        "attract": cdpo.replace("--beta -0.05", "--beta 0.05"),
        "weak": cdpo.replace("--beta -0.05", "--beta -0.005"),
        "strong": cdpo.replace("--beta -0.05", "--beta -0.5"),
        "hinge": cdpo.replace("--beta -0.05", "--beta -0.05 --repulsion hinge"),
        "npo": cdpo.replace("--beta -0.05", "--beta -0.05 --repulsion npo"),
    }
    for name, expected in changed.items():
        assert typed[f"train-cdpo-{name}"] == f"{expected} --name cdpo-{name}"
    assert betas_of(settings)["cdpo-strong"] == -0.5
    assert not {"cdpo-self", "cdpo-hinge", "cdpo-npo"} & set(betas_of(settings))
    assert len(models_of(settings)) == 10


def test_ablations_can_be_added_to_a_demo_and_other_numbers_not() -> None:
    plain, more = (demo_settings(is_quick=True, has_variants=has) for has in (False, True))
    assert plain.identity() == more.identity()
    assert set(commands(plain).items()) - set(commands(more).items()) == {
        ("compare", f"compare '{BASE_RUN}' bias grpo cdpo")
    }
    assert plain.identity() != demo_settings(is_quick=True, seed=1).identity()
    assert plain.identity() != demo_settings(is_quick=False).identity()


def test_comparison_names_the_base_run_once_it_is_known() -> None:
    arguments = step_of(QUICK, "compare").arguments
    assert arguments == ("compare", BASE_RUN, "bias", "grpo", "cdpo")


def test_another_model_is_named_everywhere_it_starts_from() -> None:
    typed = commands(demo_settings(is_quick=True, model="my-model"))
    assert typed["eval-base"].startswith("eval clevrer-mini --model my-model --preset tiny")
    for name in ("train-bias", "train-grpo", "train-cdpo"):
        assert "--model my-model" in typed[name]


def test_an_unfinished_training_is_resumed_by_its_name() -> None:
    step = step_of(demo_settings(is_quick=True, has_variants=True), "train-cdpo-npo")
    assert resume_arguments(step) == ("train-cdpo", "cdpo-npo", "--resume")
