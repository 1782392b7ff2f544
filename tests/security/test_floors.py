"""The floors in pyproject.toml admit no version of the dated list of known holes in docs/SECURITY.md."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.version import Version

from places import ROOT

# Package -> the first version without the holes that docs/SECURITY.md names, as of 2026-11.
SAFE_FROM = {"torch": "2.10", "sentence-transformers": "6", "fsspec": "2026.9"}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [r for group in project["optional-dependencies"].values() for r in group]
    return [Requirement(r) for r in [*project["dependencies"], *extras]]


def test_no_floor_admits_a_version_with_a_known_hole():
    named = [r for r in requirements() if r.name in SAFE_FROM]
    assert {r.name for r in named} == set(SAFE_FROM)
    for requirement in named:
        floors = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==", "~=", ">")]
        assert floors, requirement
        assert max(floors) >= Version(SAFE_FROM[requirement.name]), requirement


def test_every_named_package_is_in_the_list_and_its_pin_is_above_the_floor():
    said = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
    pins = dict(
        re.findall(r"(?m)^([A-Za-z0-9_.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    )
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for name, floor in SAFE_FROM.items():
        assert name in said
        assert Version(pins[name]) >= Version(floor)
