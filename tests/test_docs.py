"""The pages of docs/ run as shown."""

import importlib
import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_networks import random_network
from rule_cases import CASES, chain, edit
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snnmap
from snnmap.design import OBJECTIVES, Space
from snnmap.frontends.nir import NirOptions
from snnmap.lif.drc import RULES
from snnmap.lif.fixes import FIXES
from snnmap.lif.program import AgreementLimits
from snnmap.network import Network, simulate_network
from snnmap.nn import Readout

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [(DOCS / name).read_text() for name in ("frontends.md", "delta.md", "delta_chip.md")]
BLOCK = r"## ([\w-]+)\n(?:(?!\n## ).)*?```python\n(.*?)```"
BLOCKS = {title: code for page in PAGES for title, code in re.findall(BLOCK, page, flags=re.DOTALL)}


FRAMEWORKS = {
    "snnTorch": "snntorch", "Sinabs": "sinabs", "SpikingJelly": "spikingjelly", "Norse": "norse", "Rockpool": "rockpool",
    "NIR": "snntorch", "Nengo": "nengo", "Torch": "torch", "ONNX": "onnxruntime", "Keras": "onnxruntime",
    "scikit-learn": "sklearn",
}  # fmt: skip
"""Sections that begin with that of the digits, and what they import."""
BEGIN_WITH = {"ONNX": ("Digits", "Torch")}
"""Other sections that they begin with."""

EXPORTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "Rockpool": ((1, 64), {"dt_s": 1e-3}),
    "Sinabs": ((1, 64), {"dt_s": 1.0, "floor": "none"}),
    "SpikingJelly": ((1, 1, 64), {"dt_s": 1e-4}),
}
"""Shape of the sample with which the model of a section is exported to NIR, and what is said about the file."""

KERAS = Path(__file__).parent / "frontends" / "onnx" / "keras" / "cnn.onnx"
"""A convolution, a pool and a dense layer, trained on the digits; as Keras 3.15.1 exports it, by tf2onnx 1.17.0."""

AGREEMENT = dict(re.findall(BLOCK, (DOCS / "agreement.md").read_text(), flags=re.DOTALL))


PAGES_WITH_MODELS = {
    f"{name}, {title}": code
    for name in ("train", "convert")
    for title, code in re.findall(BLOCK, (DOCS / f"{name}.md").read_text(), flags=re.DOTALL)
}


def export(framework: str, names: dict[str, Any]) -> Any:
    """Export the model of a section to NIR by the call that the page names, and load the file's graph."""
    sample, choices = EXPORTS[framework]
    (call,) = re.findall(rf"\n\| `{framework.lower()}` \| `(.*?)`", PAGES[0])
    module, _, function = call.partition("(")[0].rpartition(".")
    names |= {"sample": torch.zeros(sample), function: getattr(importlib.import_module(module), function)}
    graph = eval(call.removeprefix(f"{module}."), names)
    return snnmap.load(graph, options=NirOptions.like(framework.lower(), **choices))


def test_every_source_has_a_page() -> None:
    assert set(BLOCKS) >= {"NIR", "ONNX", "Layers", "Sigma-delta", "Counts", "Streams", *FRAMEWORKS}
    assert set(BLOCKS) >= {"Convert", "Signs", "Changes"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", sorted(set(BLOCKS) - set(FRAMEWORKS)))
def test_it_runs_as_shown(source: str) -> None:
    torch.manual_seed(0)
    names = {"images": np.random.default_rng(0).uniform(0, 1, (40, 20))}
    exec(BLOCKS[source], names)
    if "classes" in names:
        assert names["classes"].shape == (40,)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_model_of_each_framework_keeps_its_accuracy_on_a_chip(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(FRAMEWORKS[framework])
    monkeypatch.chdir(tmp_path)
    shutil.copy(KERAS, tmp_path)
    names: dict[str, Any] = {}
    for section in (*BEGIN_WITH.get(framework, ("Digits",)), framework):
        exec(BLOCKS[section], names)
    if framework in EXPORTS:
        chip = re.findall(r'"(generic-.*?)"', BLOCKS[framework])[-1]
        names["build"](export(framework, names), names["run"], chip)
    rows = re.findall(r"^model ([\d.]+)%, bitstream ([\d.]+)%$", capsys.readouterr().out, flags=re.MULTILINE)
    assert len(rows) == {"ONNX": 4}.get(framework, 1 + (framework in EXPORTS))
    for model, bitstream in rows:
        assert float(model) > 65
        assert float(bitstream) > float(model) - 3
    assert isinstance(names.get("same", names.get("network", random_network(3))), Network)


@pytest.mark.parametrize("section", ["Limits", "Single-spike"])
def test_agreement_runs_as_shown(section: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = chain(3, 12, 8, 2)
    raster = np.random.default_rng(0).poisson(0.5, (24, 20, 3))
    labels = simulate_network(model, raster).counts["out"].sum(axis=1).argmax(axis=1)
    torch.manual_seed(0)
    batches = DataLoader(TensorDataset(torch.tensor(raster, dtype=torch.float32), torch.tensor(labels)), 8)
    single = edit("populations", "h1", model, max_count=np.ones(12, np.int64))
    names = {
        "model": model,
        "network": single,
        "raster": raster,
        "labels": labels,
        "loader": batches,
        "readout": Readout("count"),
    }
    exec(AGREEMENT[section], names)
    assert names["artifacts"].bitstream
    assert capsys.readouterr().out.split()[:1] in ([], ["0"])


def test_fixes_are_all_on_their_page_which_runs_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "fixes.md").read_text()
    for fix in FIXES.values():
        does, _, _ = fix.text.partition("\n\n")
        assert f"| `{fix.name}` | {', '.join(fix.answers)} | {'yes' if fix.exact else 'no'} | {does} |\n" in page
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    dead, _ = CASES["SNN106"][0]
    names = {"network": dead, "raster": np.random.default_rng(0).poisson(0.5, (24, 20, 3))}
    exec(block, names)
    assert names["artifacts"].bitstream
    assert "drop-neurons (exact)" in capsys.readouterr().out


def test_costs_run_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "cost.md").read_text(), flags=re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out == "[('generic-4096', True), ('toy-4', False)]\n[False, True]\n12\n"


def test_the_open_core_runs_as_shown() -> None:
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "rtl.md").read_text(), flags=re.DOTALL)
    exec(block, names)
    assert np.array_equal(names["outputs"], names["core"].counts["outputs"][0, 0])


def test_engines_run_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / "engines.md").read_text(), flags=re.DOTALL):
        exec(block, names)
    assert (tmp_path / "runs.csv").read_text().count("\n") == 9
    assert names["evaluation"].n_left == names["artifacts"].count_saturation(names["raster"]).by_sample.sum()
    assert names["found"].n_steps.max() <= 40


def test_a_search_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "search.md").read_text()
    (space,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    data, call = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "space.toml").write_text(space.replace("n_epochs = 8", "n_epochs = 1"))
    (tmp_path / "digits.py").write_text(data)
    exec(call, {"__name__": "__main__"})
    assert "synaptic_operations" in capsys.readouterr().out
    assert all(f"| `{one.name}` | {one.text} |\n" in page for one in OBJECTIVES.values())
    written = {field.name for field in fields(Space)} - {"name", "parameters", "fixed", "folder"}
    assert all(f"| `{name}` |" in page or f"\n{name} = " in page or f"[{name}]" in page for name in written)


def test_every_limit_and_rule_of_agreement_is_on_its_page() -> None:
    page = (DOCS / "agreement.md").read_text()
    assert all(f"`{field.name}`" in page for field in fields(AgreementLimits))
    assert all(rule in page for rule in RULES if rule.startswith("SNN6"))


@pytest.mark.parametrize("section", sorted(PAGES_WITH_MODELS))
def test_training_and_conversion_run_as_shown(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {
        "raster": np.ones((2, 20, 12), np.int64),
        "samples": [(torch.ones(10 + number, 12), number % 4) for number in range(8)],
        "mlp": nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5)),
        "images": np.random.default_rng(0).uniform(0, 1, (40, 20)),
        "labels": np.arange(40) % 5,
    }
    exec(PAGES_WITH_MODELS["train, Layers"], names)
    block = PAGES_WITH_MODELS[section]
    exec(block, names)
    if "n_mismatches" in block:
        assert capsys.readouterr().out == "0\n"


def test_one_weight_is_followed_to_its_byte(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "architecture.md").read_text(), flags=re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out.splitlines()[2].endswith("True")
