"""Tables hold the figures they are made from, one row an entry."""

from io import StringIO

import numpy as np
from random_networks import random_network
from random_programs import random_program
from rich.console import Console
from rich.table import Table
from rule_cases import residual

from snnmap.chip import list_chips, load_chip
from snnmap.lif.program import TensorError
from snnmap.pipeline import compile_model
from snnmap.report import Occupancy, chip_table, error_table, lag_table, make_table, measure_occupancy, occupancy_table


def read_table(table: Table) -> list[list[str]]:
    """Give the cells as they are printed, header first."""
    stream = StringIO()
    Console(file=stream, width=300).print(table)
    lines = stream.getvalue().splitlines()[1:]
    return [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines if "│" in line or "┃" in line]


def test_numbers_are_set_right_and_text_left() -> None:
    stream = StringIO()
    Console(file=stream, width=100).print(make_table("all", ("name", "count#"), [("a", 5), ("longer", 12345)]))
    title, header, _, first, second = stream.getvalue().splitlines()
    assert title.strip() == "all"
    assert header.split() == ["name", "┃", "count"]
    assert (first.index("a"), first.rindex("5")) == (second.index("l"), second.rindex("5"))


def test_a_table_without_rows() -> None:
    assert [column.header for column in make_table("none", ("a", "b#"), []).columns] == ["a", "b"]
    assert make_table("none", ("a", "b#"), []).row_count == 0


def test_occupancy() -> None:
    entries = [
        Occupancy(block="hidden neurons", used=31, capacity=992),
        Occupancy(block="recurrent_weights[0]", used=1, capacity=3, largest_fan_in=7, largest_fan_out=9),
    ]
    header, *rows = read_table(occupancy_table(entries))
    assert header == ["block", "used", "capacity", "share", "largest fan-in", "largest fan-out"]
    assert rows == [["hidden neurons", "31", "992", "3.1%", "", ""], ["recurrent_weights[0]", "1", "3", "33.3%", "7", "9"]]


def test_every_memory_of_every_chip_has_a_row() -> None:
    for name in list_chips():
        chip = load_chip(name)
        program = random_program(chip, np.random.default_rng(0), n_inputs=2, n_hidden=4, n_outputs=2)
        blocks = [row[0] for row in read_table(occupancy_table(measure_occupancy(program)))[1:]]
        synapses = {"input_weights": chip.hidden.synapses, "recurrent_weights": chip.hidden.synapses}
        synapses["output_weights"] = chip.outputs.synapses
        expected = [f"{memory}[{k}]" for memory, count in synapses.items() for k in range(count)]
        assert blocks == ["input channels", "hidden neurons", "output neurons", *expected]


def test_lags() -> None:
    header, *rows = read_table(lag_table(compile_model(residual(), "xylo-audio-3").mapped))
    assert header == ["name", "kind", "neurons", "relays", "lag (steps)", "slots", "module"]
    assert rows == [
        ["in", "input", "3", "0", "0", "0..2", ""],
        ["h1", "hidden", "5", "5", "0", "0..4", "model.h1"],
        ["h2", "hidden", "5", "0", "1", "10..14", "model.h2"],
        ["out", "output", "2", "0", "2", "0..1", "model.out"],
    ]


def test_lags_of_random_networks_count_every_neuron_and_relay() -> None:
    for seed in range(5):
        mapped = compile_model(random_network(seed, biases=False), "generic-4096").mapped
        rows = {row[0]: row for row in read_table(lag_table(mapped))[1:]}
        assert list(rows) == list(mapped.table.sources)
        assert sum(int(row[3]) for row in rows.values()) == mapped.n_relays
        assert {name: int(rows[name][4]) for name in mapped.lags} == dict(mapped.lags)
        neurons = {kind: sum(int(row[2]) for row in rows.values() if row[1] == kind) for kind in ("input", "hidden", "output")}
        sizes = (mapped.table.channel_source.size, mapped.hidden.size - mapped.n_relays, mapped.outputs.size)
        assert tuple(neurons.values()) == sizes


def test_quantisation_errors_leave_out_empty_tensors() -> None:
    errors = [
        TensorError(name="input_weights", n_values=8, relative_rms=0.0123, largest=0.5, n_lost=2, n_clipped=1),
        TensorError(name="output_weights", n_values=0, relative_rms=0.0, largest=0.0, n_lost=0, n_clipped=0),
    ]
    header, *rows = read_table(error_table(errors))
    assert header == ["tensor", "values", "relative rms", "largest", "lost", "clipped"]
    assert rows == [["input_weights", "8", "1.23%", "50.00%", "2", "1"]]


def test_chips() -> None:
    header, *rows = read_table(chip_table(load_chip(name) for name in list_chips()))
    assert header == ["name", "inputs", "hidden", "outputs", "synapses", "recurrent words", "description"]
    assert [row[0] for row in rows] == list_chips()
    assert rows[list_chips().index("toy-4")][1:6] == ["2", "4", "2", "2", "16"]
