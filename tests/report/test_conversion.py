"""Tables and picture of a conversion say what was measured."""

import io
import sys
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from snnmap.convert import ConvertOptions, StepRow, measure_codings, measure_leak, sweep_steps
from snnmap.core.errors import InputError, SnnmapError
from snnmap.report import coding_table, compensation_table, draw_steps, layer_error_table, leak_table, step_table

DATA = np.random.default_rng(0).uniform(0, 1, (60, 6))


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)).double()


@pytest.fixture(scope="module")
def rows() -> tuple[StepRow, ...]:
    labels = make_model()(torch.tensor(DATA)).argmax(1).numpy()
    return sweep_steps(make_model(), DATA, DATA, labels, n_steps=(2, 8), options=ConvertOptions(overshoot="hold"))


def print_table(table: Any) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines]


def test_a_line_for_each_t(rows: tuple[StepRow, ...]) -> None:
    lines = print_table(step_table(rows))
    assert lines[1][:4] == ["T", "latency (steps)", "accuracy", "ANN"]
    for row, line in zip(rows, lines[3:], strict=True):
        assert line[0] == str(row.n_steps)
        assert line[1] == str(row.latency_steps)
        assert line[2] == f"{row.score.accuracy:.2%}"
        assert line[6] == f"{row.score.synaptic_operations:.0f}"


def test_a_line_for_each_layer(rows: tuple[StepRow, ...]) -> None:
    lines = print_table(layer_error_table(rows))
    assert lines[1] == ["layer", "T = 2", "T = 8"]
    assert lines[3] == ["1", *(f"{row.score.errors[0].relative_error:.2%}" for row in rows)]
    given = rows[1].compensations[0]
    assert print_table(compensation_table(rows[1].compensations))[3] == [
        "1", f"{given.unit:.4g}", "percentile", "0.5", "1.53e-05", f"{given.calibrated:.3f}", f"{given.held:.2f}",
    ]  # fmt: skip


def test_codings_and_leaks() -> None:
    codings = measure_codings(make_model(), DATA, DATA, codings=("count", "rate"))
    lines = print_table(coding_table(codings))
    assert [line[0] for line in lines[3:]] == ["count", "rate"]
    assert lines[3][4] == "-"
    assert lines[3][1] == f"{codings[0].score.input_spikes:.0f}"
    leaks = measure_leak(make_model(), DATA, dash_mem=5)
    assert print_table(leak_table(leaks))[3][:4] == [
        "1", f"{leaks[0].no_leak:.2%}", f"{leaks[0].drive_alone:.2%}", f"{leaks[0].leak:.2%}",
    ]  # fmt: skip


def test_the_same_rows_give_the_same_png(rows: tuple[StepRow, ...]) -> None:
    before = dict(mpl.rcParams)
    first = draw_steps(rows)
    assert first == draw_steps(rows[::-1])
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    assert first != draw_steps(rows[:1])
    assert first != draw_steps((rows[0], replace(rows[1], score=replace(rows[1].score, synaptic_operations=5.0))))
    assert before == dict(mpl.rcParams)
    assert len(draw_steps(sweep_steps(make_model(), DATA, DATA, n_steps=(2,)))) > 1000


def test_nothing_to_draw_and_nothing_to_draw_with(rows: tuple[StepRow, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="0 rows"):
        draw_steps(())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SnnmapError, match="pip install"):
        draw_steps(rows)
