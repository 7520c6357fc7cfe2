"""What ``import snnmap`` gives and what it costs."""

import json
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from types import ModuleType

import pytest

import snnmap

HEAVY = ("torch", "numba", "matplotlib", "scipy", "networkx", "rich")

_PROBE = """
import json, sys, time
start = time.perf_counter()
import snnmap
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_light() -> None:
    runs = [json.loads(run_python(_PROBE)) for _ in range(3)]
    assert min(run["seconds"] for run in runs) < 0.3
    assert not set(HEAVY) & set(runs[0]["modules"])


def test_pytest_starts_without_what_takes_long() -> None:
    """The plugin is imported by every run of pytest in an environment with snnmap, whether its fixture is used or not."""
    modules = json.loads(run_python("import json, sys, snnmap.pytest_plugin; print(json.dumps(sorted(sys.modules)))"))
    assert not {"numpy", *HEAVY} & set(modules)
    assert [name for name in modules if name.startswith("snnmap")] == ["snnmap", "snnmap.pytest_plugin"]


@pytest.mark.parametrize("name", snnmap.__all__)
def test_every_public_name_resolves(name: str) -> None:
    found = getattr(snnmap, name)
    assert (found.__name__ if isinstance(found, ModuleType) else found.__module__).startswith("snnmap.")
    assert found.__doc__


def test_the_version_is_that_of_the_package() -> None:
    assert snnmap.__version__ == version("snnmap")


def test_types_go_with_the_package() -> None:
    assert files(snnmap).joinpath("py.typed").is_file()


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = snnmap.no_such_name


def test_compiling_a_network_needs_no_torch() -> None:
    code = """
import sys
import snnmap
from random_networks import random_network
snnmap.compile_model(random_network(3, biases=False), "xylo-audio-2")
print([name for name in ("torch", "matplotlib") if name in sys.modules])
"""
    path = repr(str(__import__("pathlib").Path(__file__).parent))
    assert run_python(f"import sys; sys.path.insert(0, {path})\n{code}").strip() == "[]"
