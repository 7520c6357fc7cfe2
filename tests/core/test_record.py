"""Records travel: by pickle, by copy, to another process; what arrives is equal and still read-only."""

import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, is_dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from random_networks import random_network

from snnmap.convert import convert_ann
from snnmap.core.errors import DesignRuleError, InputError
from snnmap.core.record import freeze_float, freeze_int
from snnmap.lif.mapping import draw_rasters
from snnmap.network import Network, format_network, simulate_network
from snnmap.pipeline import Artifacts, CompileOptions, check_model, compile_model

WAYS: dict[str, Callable[[Any], Any]] = {
    "protocol 2": lambda thing: pickle.loads(pickle.dumps(thing, 2)),
    "newest protocol": lambda thing: pickle.loads(pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def arrays_in(thing: Any) -> Iterator[np.ndarray]:
    """Give the arrays in the fields of a record, and of the records and tuples within; mappings hold what they were given."""
    if isinstance(thing, np.ndarray):
        yield thing
    elif is_dataclass(thing):
        for field in fields(thing):
            yield from arrays_in(getattr(thing, field.name))
    elif isinstance(thing, tuple):
        for part in thing:
            yield from arrays_in(part)


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return compile_model(random_network(3), "xylo-audio-3")


@pytest.fixture(scope="module")
def things(artifacts: Artifacts) -> dict[str, Any]:
    network = artifacts.network
    ann = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    return {
        "network": network,
        "mapped": artifacts.mapped,
        "quantised": artifacts.quantised,
        "image": artifacts.image,
        "artifacts": artifacts,
        "report": artifacts.report,
        "verification": artifacts.verification,
        "check": check_model(network, "xylo-audio-3"),
        "recording": simulate_network(network, draw_rasters(network), states_of=["h0"]),
        "conversion": convert_ann(ann, np.random.default_rng(0).random((20, 4))),
        "chip": artifacts.mapped.chip,
        "options": CompileOptions(),
    }


@pytest.mark.parametrize("way", WAYS)
def test_everything_that_a_build_makes_arrives_equal(things: dict[str, Any], way: str) -> None:
    for name, thing in things.items():
        assert WAYS[way](thing) == thing, name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["network", "mapped", "quantised", "image"])
def test_arrays_arrive_read_only(things: dict[str, Any], name: str, way: str) -> None:
    arrived = list(arrays_in(WAYS[way](things[name])))
    assert arrived
    assert not any(array.flags.writeable for array in arrived)


def test_a_deep_copy_shares_no_memory(artifacts: Artifacts) -> None:
    ours, theirs = arrays_in(artifacts.mapped), arrays_in(copy.deepcopy(artifacts.mapped))
    assert not any(np.shares_memory(one, other) for one, other in zip(ours, theirs, strict=True))


def test_another_process_reads_what_was_sent(artifacts: Artifacts) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(format_network, artifacts.network).result() == format_network(artifacts.network)


def test_mappings_of_records_stay_read_only(artifacts: Artifacts) -> None:
    lags: Any = pickle.loads(pickle.dumps(artifacts.mapped)).lags
    with pytest.raises(TypeError):
        lags["h0"] = 7
    assert repr(lags) == repr(dict(artifacts.mapped.lags))


def test_errors_of_a_worker_come_back_whole() -> None:
    with pytest.raises(DesignRuleError) as broken:
        compile_model(replace(random_network(3), outputs=()), "xylo-audio-3")
    back = pickle.loads(pickle.dumps(broken.value))
    assert (str(back), back.diagnostics) == (str(broken.value), broken.value.diagnostics)
    error = pickle.loads(pickle.dumps(InputError("what", where="here", measured="1", limit="2", fix="so")))
    assert (error.where, error.fix, str(error).splitlines()[-1]) == ("here", "so", "  fix: so")


def test_equality_still_tells_records_apart(things: dict[str, Any]) -> None:
    network, conversion = things["network"], things["conversion"]
    other: Network = replace(network, provenance={"framework": "another"})
    assert copy.deepcopy(network) != other
    more = {name: raster + 1 for name, raster in conversion.calibration.items()}
    assert replace(conversion, calibration=more) != conversion
    output = conversion.ann.output
    doubled = replace(output, terms={name: 2 * weights for name, weights in output.terms.items()})
    assert replace(conversion, ann=replace(conversion.ann, output=doubled)) != conversion


@pytest.mark.parametrize(("freeze", "kind"), [(freeze_float, np.float64), (freeze_int, np.int64)])
def test_arrays_that_nothing_can_change_are_not_copied(freeze: Callable[..., np.ndarray], kind: type[np.generic]) -> None:
    given = np.arange(4).astype(kind)
    frozen = freeze(given)
    assert freeze(frozen) is frozen
    given[0] = 7
    view, other = given[:2], given.astype(np.int8)
    for array in (given, view, other):
        array.setflags(write=False)
    copied = freeze(view)
    given.setflags(write=True)
    given[0] = 8
    assert (frozen[0], copied[0]) == (0, 7)
    assert freeze(other).dtype == kind
