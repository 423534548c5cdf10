"""pyproject.toml, environment.yml and requirements.lock say the same versions, and name everything that is imported."""

import ast
import functools
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE, DEV = PROJECT["dependencies"], PROJECT["optional-dependencies"]["dev"]
#: Imported inside functions, with a message where they are missing; the last two are what idc-index brings along.
EXTRA = [*PROJECT["optional-dependencies"]["public"], *PROJECT["optional-dependencies"]["privacy"]]
EXTRA += [
    "idc-index-data",
    "pyarrow",
    *PROJECT["optional-dependencies"]["batch"],
    *PROJECT["optional-dependencies"]["grading"],
]
#: Too heavy, or of no use without a network: stood in for in tests.
NOT_TESTED = ("segment", "hub", "kubernetes")
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
# "- name==version # places: what for"
PINS = re.findall(r"^ +- ([\w.-]+==[\w.]+)(?: # (.*))?$", (ROOT / "environment.yml").read_text(), re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def places(comment: str) -> list[str]:
    return comment.partition(":")[0].split(", ")


@functools.cache
def imports(folder: str) -> dict[str, list[str]]:
    """Third-party distributions imported under ``folder`` -> the files that do, relative to the root."""
    found: dict[str, list[str]] = {}
    distributions = packages_distributions()  # seconds
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                for distribution in distributions.get(top, []):
                    found.setdefault(canonical(distribution), []).append(path.relative_to(ROOT).as_posix())
    return found


def test_environment_yml_has_exactly_the_pins_of_pyproject():
    assert sorted(pin for pin, _ in PINS) == sorted(CORE + DEV)


def test_tests_have_what_the_extras_bring():
    extras = {key: pins for key, pins in PROJECT["optional-dependencies"].items()}
    extras = {key: pins for key, pins in extras.items() if key not in ("dev", *NOT_TESTED)}
    assert {pin for pins in extras.values() for pin in pins} <= set(DEV)


def test_every_direct_pin_is_exact_and_in_the_lock():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in CORE + DEV)
    assert {canonical(pin) for pin in CORE + DEV} <= {canonical(line) for line in LOCK}, "run `make lock`"


def test_lock_is_platform_neutral_and_sorted():
    names = [line.partition("==")[0].lower() for line in LOCK]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in LOCK)  # no +cpu, no address, no hash
    assert not [line for line in LOCK if re.match(r"(nvidia|cuda)-|triton", line)]
    assert names == sorted(names)


@pytest.mark.parametrize(("pin", "comment"), PINS)
def test_each_pin_says_where_it_is_used(pin, comment):
    assert comment, f"{pin} in environment.yml needs a comment: where it is used"
    for place in places(comment):
        assert (ROOT / place).exists(), f"{pin}: no {place}"


def test_what_the_comments_say_is_true_of_what_is_imported():
    used = imports("medsynth_lib")
    for pin, comment in PINS:
        files = used.get(canonical(pin.partition("==")[0]), [])
        said = any(file.startswith(place) for file in files for place in places(comment))
        assert said or not files, f"{pin} is imported in {sorted(set(files))}, but its comment says: {comment}"


def test_everything_the_library_imports_is_pinned():
    pinned = {canonical(pin.partition("==")[0]) for pin in CORE + EXTRA} | {"medsynth", "pyyaml", "traitlets"}
    missing = {name: sorted(set(files)) for name, files in imports("medsynth_lib").items() if name not in pinned}
    assert not missing, "add to pyproject.toml and environment.yml, then run `make lock`"
