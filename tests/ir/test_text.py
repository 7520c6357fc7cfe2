from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network

from snnmap.errors import NetworkError
from snnmap.ir import Population, format_network, load_network, parse_network, save_network


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
