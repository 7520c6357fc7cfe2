"""Pools of currents that were put behind the neurons: what that changes, measured beside the module's own run."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.core.record import IntArray
from snnmap.frontends.following.trace import Trace
from snnmap.frontends.following.trial import count_steps
from snnmap.network import Network, OutputPort, read_rasters, simulate_network

__all__ = ["Run", "describe_move"]

Run = Callable[[Mapping[str, IntArray], int], Mapping[str, IntArray]]
"""From counts of each argument, ``(n_steps, size)``, and their steps to the module's own spikes, by layer."""

_N_DRAWN, _DRAWN_RATE = 20, 0.5


def describe_move(
    run: Run,
    trace: Trace,
    network: Network,
    names: tuple[Mapping[str, str], Mapping[str, str]],
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None,
) -> str:
    """Say which pools were moved, and which share of spikes and decisions differs.

    Args:
        run: the module.
        trace: of it.
        network: that was built from the trace.
        names: populations by layer, and input ports by argument.
        calibration: rasters; drawn ones where left out.

    Raises:
        InputError: rasters that do not suit the network, or of fewer steps than forward has.
    """
    populations, ports = names
    rasters = _draw(trace, network) if calibration is None else read_rasters(network.inputs, calibration)
    rasters = _fit_steps(trace, rasters)
    wanted = _run_samples(run, ports, rasters)
    stands_for = {populations[pool]: wanted[neurons] for pool, neurons in trace.moved.items()}
    moved = set(trace.moved.values())
    known = {populations[name]: counts for name, counts in wanted.items() if name not in moved} | stands_for
    found = simulate_network(network, rasters, counts_of=list(known)).counts
    inputs = f"{len(next(iter(rasters.values())))} {'drawn' if calibration is None else 'calibration'} samples"
    told = [f"MaxPool of currents was put behind the neurons: {_list_names(stands_for)}", _compare_spikes(stands_for, found)]
    if calibration is not None:
        told += [_compare_decisions(port, known, found) for port in network.outputs if _decides(port, known)]
    return f"{'; '.join(told)}, on {inputs}"


def _draw(trace: Trace, network: Network) -> dict[str, IntArray]:
    rng = np.random.default_rng(0)
    return {port.name: rng.poisson(_DRAWN_RATE, (_N_DRAWN, count_steps(trace), port.size)) for port in network.inputs}


def _fit_steps(trace: Trace, rasters: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """Return rasters of as many steps as forward has: the first in all of them, where forward has the same in all."""
    n_samples, n_given = next(iter(rasters.values())).shape[:2]
    if not n_samples:
        raise InputError("there are no samples on which moved pools are measured", measured="0", limit="1", fix="give some")
    if trace.layout == "one step" and trace.n_steps > 1:
        return {name: np.repeat(raster[:, :1], trace.n_steps, axis=1) for name, raster in rasters.items()}
    n_steps = n_given if trace.n_steps in (1, trace.n_given) else trace.n_steps
    if n_given < max(n_steps, 1):
        fix = "give calibration data of as many steps"
        raise InputError("forward has more steps than the samples", measured=str(n_given), limit=str(max(n_steps, 1)), fix=fix)
    return {name: raster[:, :n_steps] for name, raster in rasters.items()}


def _run_samples(run: Run, ports: Mapping[str, str], rasters: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """Return the module's spikes by layer, ``(n_samples, n_steps, size)``."""
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    runs = [run({name: rasters[port][sample] for name, port in ports.items()}, n_steps) for sample in range(n_samples)]
    return {name: np.stack([one[name][:n_steps] for one in runs]) for name in (runs[0] if runs else ())}


def _list_names(populations: Mapping[str, IntArray]) -> str:
    return ", ".join(f"'{name}'" for name in populations)


def _compare_spikes(wanted: Mapping[str, IntArray], found: Mapping[str, IntArray]) -> str:
    pairs = [(counts, found[name]) for name, counts in wanted.items()]
    differ = sum(int((one != other).sum()) for one, other in pairs)
    active = sum(int(((one > 0) | (other > 0)).sum()) for one, other in pairs)
    return f"{differ / max(active, 1):.1%} of their active counts differ"


def _decides(port: OutputPort, known: Mapping[str, IntArray]) -> bool:
    return port.readout == "spikes" and set(port.populations) <= known.keys()


def _compare_decisions(port: OutputPort, wanted: Mapping[str, IntArray], found: Mapping[str, IntArray]) -> str:
    """Compare which of a port's neurons fires most, in samples in which the module's fire."""
    one, other = (_add_up(port.populations, counts) for counts in (wanted, found))
    decided = one.any(axis=1)
    same = one[decided].argmax(axis=1) == other[decided].argmax(axis=1)
    return f"same decision of '{port.name}' in {int(same.sum())} of {int(decided.sum())} in which the module's fires"


def _add_up(populations: Sequence[str], counts: Mapping[str, IntArray]) -> IntArray:
    return np.concatenate([counts[name].sum(axis=1) for name in populations], axis=1)
