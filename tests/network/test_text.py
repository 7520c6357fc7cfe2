import hashlib
import json
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network
from rule_cases import chain, edit

from snnmap.core import CsrMatrix
from snnmap.core.errors import NetworkError
from snnmap.network import Population, digest_network, format_network, load_network, parse_network, save_network
from snnmap.network import text as text_form
from snnmap.network.digits import write_integers

NETWORK = format_network(chain(3, 5, 4, 2))


@pytest.mark.parametrize("seed", range(20))
def test_text_round_trips_and_is_canonical(seed: int) -> None:
    network = random_network(seed)
    text = format_network(network)
    assert parse_network(text) == network
    assert format_network(parse_network(text)) == text


def test_odd_floats_survive() -> None:
    odd = Population.create("h0", 4, threshold=[np.nan, np.inf, 5e-324, 0.1 + 0.2], beta=-0.0, alpha=1 / 3)
    network = replace(random_network(0), populations=(odd,))
    read = parse_network(format_network(network))
    assert read == network
    assert np.signbit(read.population("h0").beta).all()


@pytest.mark.parametrize("n_values", [1, 40, 3000, 70_000])
@pytest.mark.parametrize("few", [0, 1_000_000])
def test_long_arrays_are_written_as_json_writes_them(n_values: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_form, "_FEW_COMPILED", few)
    monkeypatch.setattr(text_form, "_MOST_ROWS", 1000)
    rng, n = np.random.default_rng(n_values), max(2000, 2 * n_values)
    values = np.r_[rng.normal(size=n_values), -0.0, 0.0, np.inf, np.nan, 5e-324]
    drawn = values[np.r_[np.zeros(9000, int), rng.integers(0, values.size, n), np.arange(values.size)]]
    weights = CsrMatrix.from_dense(np.ones((1, drawn.size))).with_data(drawn)
    network = random_network(0)
    network = replace(network, projections=(replace(network.projections[0], weights=weights),))
    written = format_network(network)
    assert f'"data": {json.dumps(drawn.tolist())}\n' in written
    assert f'"indices": {json.dumps(weights.indices.tolist())},\n' in written


def test_integers_are_written_whole_by_compiled_code() -> None:
    edges = np.r_[0, 9, 10, -1, -10, np.iinfo(np.int64).min, np.iinfo(np.int64).max, 10 ** np.arange(19), 10 ** np.arange(19) - 1]
    assert write_integers(edges).tobytes().decode() == json.dumps(edges.tolist())[1:-1]


def test_files_round_trip(tmp_path: Path) -> None:
    network = random_network(1)
    save_network(network, tmp_path / "network.json")
    assert load_network(tmp_path / "network.json") == network


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"snnmap-network"', '"other"', "not a snnmap network"),
        ('"version": 1', '"version": 9', "another version"),
        ('"threshold"', '"treshold"', "malformed"),
        ('"inputs": [', '"inputs": {', "malformed"),
        ('"reset": "subtract"', '"reset_": "subtract"', "malformed"),
    ],
)
def test_malformed_files_say_what_is_wrong(before: str, after: str, message: str) -> None:
    text = format_network(random_network(2))
    assert before in text
    with pytest.raises(NetworkError, match=message):
        parse_network(text.replace(before, after), where="x.json")


def test_an_absent_file_is_an_error_of_the_users(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="cannot be read"):
        load_network(tmp_path / "absent.json")


def replace_field(field: str, value: str) -> str:
    """Give a network's text with one field, at its first place, set to a JSON value."""
    text, count = re.subn(rf'("{field}": )[^\n]*?(,?\n)', lambda found: f"{found[1]}{value}{found[2]}", NETWORK, count=1)
    assert count == 1
    return text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *(("max_count", value, "malformed") for value in ("Infinity", "1e30", "2.5", "9223372036854775808", '"3"', "[1e30]")),
        *(("shape", value, "malformed") for value in ("[]", "[3]", "3", '["a", 2]', "[-1, 2]", "null")),
        *(("delay_steps", value, "delay_steps = .* is not of type int") for value in ("1.0", "NaN", "null", "true", '"1"')),
        *(("delay_steps", value, "a delay is out of range") for value in ("-1", "10001")),
        ("delay_steps", "1" * 400, "delay_steps is beyond 2147483647"),
        ("delay_steps", "1" * 5000, "malformed"),
        *(("name", value, "name = .* is not of type str") for value in ("3", "null", "[]", "{}", "NaN")),
        *(("name", value, "surrogates not allowed") for value in ('"\\ud800"', '"net \\udfff"')),
        *(("size", value, "size = .* is not of type int") for value in ("3.0", '"3"', "null")),
        ("source", "7", "source = 7 is not of type str"),
        ("reset", "[]", "reset = .* is not of type str"),
        ("provenance", '{"a": 1}', "provenance = 1 is not of type str"),
        ("populations", "[" * 100_000, "malformed"),
    ],
)
def test_values_of_a_wrong_kind_are_told(field: str, value: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as refused:
        parse_network(replace_field(field, value), where="x.json")
    assert refused.value.where.startswith("x.json")


def test_a_delay_out_of_range_names_its_projection() -> None:
    with pytest.raises(NetworkError) as refused:
        parse_network(replace_field("delay_steps", "99999"), where="x.json")
    assert refused.value.where == "x.json, projection 'in->h1'"
    assert (refused.value.measured, refused.value.limit) == ("99999 steps", "0 to 10000 steps")


def test_a_file_that_claims_more_neurons_than_it_can_wire_is_judged_before_memory_is_taken() -> None:
    huge = NETWORK.replace('"size": 4', '"size": 20000000', 1)
    assert huge != NETWORK
    tracemalloc.start()
    with pytest.raises(NetworkError, match="claims more neurons than it can wire") as refused:
        parse_network(huge)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert refused.value.measured == f"20000007 neurons in {len(huge)} characters"
    assert parse_network(NETWORK.replace('"size": 3', '"size": 1000000', 1)).inputs[0].size == 1_000_000


def test_long_arrays_round_trip_and_their_digest_takes_less_memory_than_their_text() -> None:
    network = chain(1, 200_000, 1)
    thresholds = np.random.default_rng(0).uniform(1, 2, 200_000)
    network = edit("populations", "h1", network, threshold=thresholds)
    text = format_network(network)
    assert parse_network(text) == network
    tracemalloc.start()
    digest = digest_network(network)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert digest == hashlib.sha256(text.encode()).hexdigest()
    assert peak < len(text)
