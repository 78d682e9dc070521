"""One rule for what an error says: the rest of a sentence; the hint whole sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vtk.errors
from vtk.cli.app import main
from vtk.errors import VtkError
from vtk.hints import nearest_hint

KINDS = {
    name
    for name, found in vars(vtk.errors).items()
    if isinstance(found, type) and issubclass(found, VtkError)
} | {"WrongStage"}
NAMES = ("TempCompass", "MVBench", "Video-MME", "Which", "CLEVRER")
TYPED = r"(--[\w-]+|[a-z_]+(\.[a-z_]+)+|`)"
TO_COPY = re.compile(r"(^|: )(\{\}|vtk |pip |unzip |--)[^:]*$|[.?] \{\}$")
MIN_TEXTS = 250


def literal(node: ast.expr | None) -> str:
    """The text of a literal with {} for what is filled in; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return ""


def raised(repository: Path) -> Iterator[tuple[str, str, str]]:
    """Place, message and hint of every error that the code makes from literals."""
    for folder in ("vtk", "tui"):
        for path in sorted((repository / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KINDS:
                    named = {keyword.arg: keyword.value for keyword in node.keywords}
                    given = [*node.args, None, None]
                    place = f"{path.relative_to(repository)}:{node.lineno}"
                    message = named.get("message") or given[0]
                    yield place, literal(message), literal(named.get("hint") or given[1])


def is_message(text: str) -> bool:
    begins_small = not re.match(r"[A-Z][a-z]+\b", text) or text.startswith(NAMES)
    return begins_small and not text.endswith((".", " "))


def is_hint(text: str) -> bool:
    begins_large = not re.match(r"[a-z]", text) or re.match(TYPED, text) is not None
    return begins_large and (text.endswith((".", "?")) or TO_COPY.search(text) is not None)


def test_messages_begin_small_and_have_no_full_stop(repository: Path) -> None:
    messages = [(place, message) for place, message, _ in raised(repository) if message]
    assert len(messages) > MIN_TEXTS
    assert [found for found in messages if not is_message(found[1])] == []


def test_hints_are_sentences_or_end_with_what_is_copied(repository: Path) -> None:
    hints = [(place, hint) for place, _, hint in raised(repository) if hint]
    assert len(hints) > MIN_TEXTS / 2
    assert [found for found in hints if not is_hint(found[1])] == []


@pytest.mark.parametrize("text", ["There is no run", "there is no run."])
def test_the_rule_for_messages_finds_its_breaches(text: str) -> None:
    assert not is_message(text)


@pytest.mark.parametrize("text", ["name one", "Name one", "name one."])
def test_the_rule_for_hints_finds_its_breaches(text: str) -> None:
    assert not is_hint(text)


def test_a_name_with_a_slip_is_recognized_and_a_strange_one_is_not() -> None:
    assert nearest_hint("d1", ["D1", "D2"], "Rules").startswith("Did you mean D1? Rules: D1, D2.")
    assert nearest_hint("zebra", ["D1", "D2"], "Rules") == "Rules: D1, D2."


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("evl clevrer-mini", "eval"),
        ("runs lst", "list"),
        ("download --lits", "--list"),
        ("download mmuv", "mmvu"),
        ("split clevrer_mini", "clevrer-mini"),
        ("split clevrer-mini --rule d1", "D1"),
        ("data check mvbech", "mvbench"),
        ("eval mvbech --model tiny", "mvbench"),
        ("eval alll --model tiny", "all"),
        ("config show tinny", "tiny"),
        ("config show tiny --stage bais", "bias"),
        ("config show tiny --set optim.num_step=3", "optim.num_steps"),
        ("train-bias --preset tinny", "tiny"),
        ("train-grpo --data clevrer-mni", "clevrer-mini"),
        ("train-grpo --data clevrer-mini --accelerate-config 8-gpus", "8-gpu"),
        ("setup --model qwen2.5-vl-3", "qwen2.5-vl-3b"),
        ("bench step --workload shrot", "short"),
    ],
)
def test_every_name_with_a_slip_is_told_what_was_meant(
    command: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    told = capsys.readouterr().err
    assert re.search(f"^Hint: Did you mean {re.escape(meant)}(\\?| or )", told, re.MULTILINE), told


@pytest.mark.parametrize(
    ("command", "says", "hint"),
    [
        ("runs lst", "no such command 'lst'", "See: vtk runs --help"),
        ("eval --model", "option '--model' requires an argument", "See: vtk eval --help"),
        ("demo --seed x", "it must be a valid integer", "See: vtk demo --help"),
        ("dashboard --pictures kity", "'kity' is not one of 'auto'", "See: vtk dashboard --help"),
        ("--foo", "no such option: --foo", "See: vtk --help"),
    ],
)
def test_wrong_usage_says_what_and_names_the_help_of_its_command(
    command: str, says: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    message, told = capsys.readouterr().err.splitlines()
    assert says in message
    assert told.endswith(hint)
