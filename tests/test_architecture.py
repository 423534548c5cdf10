"""The layers, and the rules of CONTRIBUTING.md that a machine can hold; each rule is shown to catch a planted fault."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "medsynth_lib"

BASE = {"conventions", "errors", "precision", "ssim", ""}  # "" is medsynth_lib itself: its version
SIBLINGS = {"data", "networks", "losses", "metrics"}
#: layer -> every layer it may import, besides itself and BASE. Imports point down only.
BELOW: dict[str, set[str]] = {"data": set(), "networks": set(), "losses": set(), "metrics": set()}
BELOW["systems"] = {"networks", "losses", "metrics"}
BELOW["phantom"] = {"data"}
BELOW["training"] = {"systems", "phantom"} | SIBLINGS
BELOW["visualize"] = {"training"} | BELOW["training"]
BELOW["course"] = {"visualize"} | BELOW["visualize"]
BELOW["cli"] = {"course"} | BELOW["course"]
BELOW["__main__"] = {"cli"}

MAX_FILE_LINES, MAX_FUNCTION_LINES = 350, 60


def library_imports(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Layers (``data``, ``course`` …) that a module in ``package`` (its dotted parts) imports, lazily or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            modules = [f"{module}.{alias.name}" for alias in node.names] if module == "medsynth_lib" else [module]
        else:
            continue
        for parts in (module.split(".") for module in modules):
            if parts[0] == "medsynth_lib":
                yield parts[1] if len(parts) > 1 and parts[1] != "__version__" else ""


def layer_faults(tree: ast.AST, path: str) -> list[str]:
    parts = Path(path).with_suffix("").parts
    layer = parts[1] if parts[1] != "__init__" else ""
    if layer in BASE:
        allowed = BASE
    elif layer in BELOW:
        allowed = BELOW[layer] | BASE | {layer}
    else:
        return [f"{path}: {layer} is no layer; add it to BELOW and to the picture in CONTRIBUTING.md"]
    wrong = sorted(set(library_imports(tree, list(parts[:-1]))) - allowed)
    return [f"{path}: {layer or 'medsynth_lib'} may not import {name}" for name in wrong]


def unsafe_faults(tree: ast.AST, path: str) -> list[str]:
    """Anything that could unpickle."""
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = [prefix + alias.name for alias in node.names]
            faults += [f"{path}:{node.lineno}: {name}" for name in names if name.split(".")[0] in UNPICKLERS]
            faults += [f"{path}:{node.lineno}: {name}" for name in names if name in PICKLE_READERS]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in PICKLE_READERS:
            faults.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called == "torch.load" and given.get("weights_only") != "True":
                faults.append(f"{path}:{node.lineno}: torch.load without weights_only=True")
            if called in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
                faults.append(f"{path}:{node.lineno}: {called} with allow_pickle")
    return faults


UNPICKLERS = {"dill", "cloudpickle", "joblib", "shelve"}
PICKLE_READERS = {"pickle.load", "pickle.loads", "pickle.Unpickler"}  # pickle.UnpicklingError may be caught


def size_faults(tree: ast.AST, path: str) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    sizes = [(node.name, node.end_lineno - node.lineno + 1) for node in functions]
    return [f"{path}: {name} has {lines} lines" for name, lines in sizes if lines > MAX_FUNCTION_LINES]


def name_faults(path: str, source: str) -> list[str]:
    lines = len(source.splitlines())
    faults = [f"{path}: has {lines} lines"] if lines > MAX_FILE_LINES else []
    return faults + ([f"{path}: name it after what it does"] if Path(path).stem in ("utils", "util", "helpers") else [])


def faults_of(source: str, path: str) -> list[str]:
    tree = ast.parse(source)
    return layer_faults(tree, path) + unsafe_faults(tree, path) + size_faults(tree, path) + name_faults(path, source)


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_module_keeps_the_rules(path):
    assert faults_of(path.read_text(), path.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize("path", sorted((ROOT / "data_scripts").rglob("*.py")), ids=lambda path: path.name)
def test_data_script_keeps_the_rules(path):
    source = path.read_text()
    tree = ast.parse(source)
    assert unsafe_faults(tree, path.name) + size_faults(tree, path.name) + name_faults(path.name, source) == []


PLANTED = {
    "up": ("data/x.py", "from medsynth_lib.training import trainer", "data may not import training"),
    "up, plain": ("losses/x.py", "import medsynth_lib.systems.pix2pix", "losses may not import systems"),
    "up, lazily": ("systems/x.py", "def f():\n    from medsynth_lib import data", "systems may not import data"),
    "up, relative": ("metrics/x.py", "from ..course import lesson", "metrics may not import course"),
    "up, from the package": ("networks/__init__.py", "from medsynth_lib import cli", "networks may not import cli"),
    "sideways": ("metrics/x.py", "from medsynth_lib.losses.gan import hinge", "metrics may not import losses"),
    "sideways, relative": ("losses/x.py", "from ..networks.unet import UNet", "losses may not import networks"),
    "base looks up": ("conventions.py", "from medsynth_lib.data.volume import Volume", "may not import data"),
    "phantom": ("phantom/x.py", "from medsynth_lib.networks import unet", "phantom may not import networks"),
    "no layer": ("tools/x.py", "x = 1", "tools is no layer"),
    "utils": ("data/utils.py", "x = 1", "name it after"),
    "long file": ("data/x.py", "x = 1\n" * 351, "has 351 lines"),
    "long function": ("data/x.py", "def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
    "pickle": ("data/x.py", "import pickle\npickle.loads(b'')", "pickle.loads"),
    "joblib": ("data/x.py", "from joblib import load", "joblib"),
    "pickle, from": ("data/x.py", "from pickle import load", "pickle"),
    "torch.load": ("data/x.py", "import torch\ntorch.load('x')", "without weights_only=True"),
    "torch.load False": ("data/x.py", "import torch\ntorch.load('x', weights_only=False)", "without weights_only=True"),
    "np.load": ("data/x.py", "import numpy as np\nnp.load('x', allow_pickle=True)", "allow_pickle"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_caught(name):
    path, source, words = PLANTED[name]
    faults = faults_of(source, f"medsynth_lib/{path}")
    assert len(faults) == 1
    assert words in faults[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("training/x.py", "from medsynth_lib.data.datasets import x\nfrom medsynth_lib.systems import SYSTEMS"),
        ("phantom/x.py", "from medsynth_lib.data import volume\nfrom medsynth_lib.errors import InputError"),
        (
            "metrics/x.py",
            "from medsynth_lib.ssim import ssim\nfrom . import fidelity\nfrom medsynth_lib import ssim",
        ),
        ("cli.py", "from medsynth_lib.course.lessons import run_lessons\nfrom medsynth_lib import data"),
        ("data/x.py", "import numpy as np\nnp.load('x', allow_pickle=False)\nnp.load('y')"),
    ],
)
def test_what_is_allowed_passes(path, source):
    assert faults_of(source, f"medsynth_lib/{path}") == []
