"""Checks of the interpreter and of the packages around vtk."""

import platform
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distributions, requires, version

from vtk.system.checks import Check, missing_package

DISTRIBUTION = "videothinker-toolkit"
IMPORT_NAMES = frozenset({"vtk", "tui"})
MIN_PYTHON = (3, 11)


def check_python(running: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """The interpreter is new enough.

    Args:
        running: Its version, most significant part first.
    """
    shown = ".".join(str(part) for part in running)
    if running[:2] >= MIN_PYTHON:
        return Check("python", "ok", f"{shown} on {platform.system()} {platform.machine()}")
    wanted = ".".join(str(part) for part in MIN_PYTHON)
    return Check("python", "fail", f"{shown} is too old", f"Install Python {wanted} or newer.")


def check_requirements(lines: Iterable[str] | None = None) -> list[Check]:
    """Every package that vtk needs is installed in a version that fits.

    Args:
        lines: Requirements to look up; those of the installed vtk when None.
    """
    from packaging.requirements import Requirement

    needed = [
        Requirement(line) for line in (requires(DISTRIBUTION) or [] if lines is None else lines)
    ]
    here = [need for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    failed = []
    for need in here:
        found = _installed_version(need.name)
        if found is None or not need.specifier.contains(found, prereleases=True):
            has = f"{need.name} is not installed" if found is None else f"{need.name} {found} is"
            wanted = f"{need.name}{need.specifier}"
            detail = f"{has}, vtk needs {wanted}" if found is None else f"{has} not {wanted}"
            failed.append(missing_package("packages", detail, [wanted]))
    return failed or [Check("packages", "ok", f"all {len(here)} requirements are met")]


def check_import_names(installed: Iterable[Distribution] | None = None) -> list[Check]:
    """No other package installs files under our import names; Kitware's toolkit is also `vtk`.

    Args:
        installed: Distributions to look through; those of this environment when None.
    """
    clashes = []
    for distribution in distributions() if installed is None else installed:
        name = (distribution.metadata["Name"] or "").lower()
        top_level = (distribution.read_text("top_level.txt") or "").split()
        if name != DISTRIBUTION and IMPORT_NAMES & {name, *top_level}:
            clashes.append((name, distribution.version))
    if not clashes:
        return [Check("import names", "ok", "no other package is called vtk or tui")]
    return [
        Check(
            "import names",
            "fail",
            f"{name} {release} installs files under the same import name: one overwrites the other",
            f"pip uninstall {name}; pip install --force-reinstall --no-deps {DISTRIBUTION}",
        )
        for name, release in sorted(set(clashes))
    ]


def _installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
