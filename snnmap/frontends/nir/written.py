"""What snnmap stores in a NIR graph's metadata, so that reading gives back the very same network."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.nir.neurons import Dynamics
from snnmap.frontends.nir.options import NirOptions
from snnmap.network import Population

__all__ = ["FORMAT", "Written", "graph_metadata", "population_metadata", "read_options", "restore", "stored", "written"]

FORMAT = "1"
TOLERANCE = 1e-6
EXACT = ("alpha", "beta", "threshold", "bias", "v_reset")


@dataclass(frozen=True, slots=True)
class Written:
    """Names and places that snnmap stored with a node; empty and 0 where it did not write the node.

    Attributes:
        name: of the part of the network.
        order: its place among parts of its kind.
        source: path in the model that it came from.
        is_sum: whether a Scale stands for a spike sum.
        terms: the sum's summands, in order.
        port: output port that an Output is a part of.
        position: of the population in that port.
        readout: of that port.
    """

    name: str = ""
    order: int = 0
    source: str = ""
    is_sum: bool = False
    terms: tuple[str, ...] = ()
    port: str = ""
    position: int = 0
    readout: str = ""


@contextmanager
def stored(where: str) -> Iterator[None]:
    """Turn what is raised by values that snnmap did not store so into an error that says where they are.

    Raises:
        FrontendError: the block raised a KeyError, TypeError, ValueError or AttributeError.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FrontendError.from_failure(
            "what snnmap stored in the metadata cannot be read", error, where=where,
            fix="delete the metadata of the graph and its nodes, and give the options",
        ) from error  # fmt: skip


def written(node: Any, where: str) -> Written:
    """Return what snnmap stored with a node.

    Raises:
        FrontendError: it was changed since.
    """
    given = _metadata(node)
    with stored(where):
        return Written(
            name=str(given.get("snnmap_name", "")),
            order=int(given.get("snnmap_order", 0)),
            source=str(given.get("snnmap_source", "")),
            is_sum="snnmap_terms" in given,
            terms=tuple(map(str, json.loads(given.get("snnmap_terms", "[]")))),
            port=str(given.get("snnmap_port", "")),
            position=int(given.get("snnmap_position", 0)),
            readout=str(given.get("snnmap_readout", "")),
        )


def graph_metadata(name: str, dt_s: float, integers: bool, options: NirOptions, provenance: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of a whole graph."""
    return {
        "snnmap_format": FORMAT,
        "snnmap_name": name,
        "snnmap_dt_s": float(dt_s),
        "snnmap_integers": int(integers),
        "snnmap_options": json.dumps(asdict(options), sort_keys=True),
        "snnmap_provenance": json.dumps(dict(provenance), sort_keys=True),
    }


def population_metadata(population: Population) -> dict[str, Any]:
    """Return the exact parameters, and what NIR has no field for."""
    exact = {f"snnmap_{name}": np.array(getattr(population, name)).reshape(population.size) for name in EXACT}
    return {**exact, "snnmap_max_count": np.array(population.max_count), "snnmap_reset": population.reset}


def read_options(metadata: Mapping[str, Any], options: NirOptions | None, choices: Mapping[str, Any]) -> NirOptions:
    """Return the options to read a graph with: those it was written with, or the user's.

    Raises:
        FrontendError: both, and they differ; or the graph was written by a later format.
    """
    if "snnmap_options" not in metadata:
        return (options or NirOptions()).with_changes(choices)
    if str(metadata.get("snnmap_format")) != FORMAT:
        raise FrontendError(
            "the graph was written by another version of snnmap", measured=str(metadata.get("snnmap_format")), limit=FORMAT,
            fix="update snnmap",
        )  # fmt: skip
    try:
        kept = NirOptions(**json.loads(metadata["snnmap_options"]))
    except (TypeError, ValueError) as error:
        raise FrontendError.from_failure(
            "the choices stored in the graph cannot be read", error, where="metadata 'snnmap_options'", fix="delete the metadata"
        ) from error
    wanted = (options or kept).with_changes(choices)
    for field in fields(NirOptions):
        ours, theirs = getattr(kept, field.name), getattr(wanted, field.name)
        if ours != theirs:
            raise FrontendError(
                f"option '{field.name}' contradicts the choices that the graph was written with", measured=str(theirs),
                limit=str(ours), fix="leave the option out",
            )  # fmt: skip
    return kept


def restore(node: Any, dynamics: Dynamics, bias: FloatArray, where: str) -> Mapping[str, Any] | None:
    """Return the exact parameters stored with a node, as arguments of ``Population.create``; None where there are none.

    Args:
        node: NIR node.
        dynamics: what its own fields say.
        bias: of the membrane in each step, from its own fields and the constants that reach it.
        where: what errors name.

    Raises:
        FrontendError: the node's own fields say something else; it was changed after snnmap wrote it.
    """
    given = _metadata(node)
    if "snnmap_beta" not in given:
        return None
    with stored(where):
        exact = {name: np.asarray(given[f"snnmap_{name}"], np.float64) for name in EXACT}
        counts, reset = np.asarray(given["snnmap_max_count"]), str(given["snnmap_reset"])
        if counts.dtype.kind not in "iu" or counts.shape != exact["beta"].shape:
            raise TypeError(f"snnmap_max_count is {counts.dtype} of shape {counts.shape}")
    found = {"alpha": dynamics.alpha, "beta": dynamics.beta, "threshold": dynamics.threshold, "bias": bias}
    for name, value in {**found, "gain": dynamics.gain}.items():
        wanted = exact.get(name, np.ones_like(value))
        if wanted.shape != value.shape or not np.allclose(value, wanted, rtol=TOLERANCE, atol=TOLERANCE):
            raise FrontendError(
                f"the node's fields and the '{name}' that snnmap stored with them disagree", where=where,
                measured=f"{value.flat[0]:g}, ...", limit=f"{wanted.flat[0]:g}, ..." if wanted.size else "nothing",
                fix="delete the node's metadata and the graph's, and give the options",
            )  # fmt: skip
    return {**exact, "alpha": exact["alpha"].reshape(1, -1), "reset": reset, "max_count": counts}


def _metadata(node: Any) -> Mapping[str, Any]:
    return node.metadata if isinstance(node.metadata, Mapping) else {}
