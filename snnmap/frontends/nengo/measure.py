"""What subtraction in place of nengo's reset to zero changes: the same network with either, on drawn inputs."""

from collections.abc import Collection
from dataclasses import replace

from snnmap.frontends.nengo.start import START, make_start
from snnmap.network import Network, draw_inputs, simulate_network

__all__ = ["measure_reset"]


def measure_reset(network: Network, names: Collection[str]) -> str:
    """Compare the network as it was read with one whose populations of these names reset to zero, which is nengo's own.

    Returns:
        What differs, in words.
    """
    exact = replace(
        network, populations=tuple(replace(p, reset="value") if p.name in names else p for p in network.populations)
    )  # fmt: skip
    rasters = draw_inputs(network.inputs, max_count=15)
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    if START in rasters:
        rasters = {**rasters, START: make_start(n_samples, n_steps)}
    wanted, found = (simulate_network(one, rasters, counts_of=list(names)).counts for one in (exact, network))
    pairs = [(wanted[name], found[name]) for name in names]
    active = sum(int(((one > 0) | (other > 0)).sum()) for one, other in pairs)
    differing = sum(int((one != other).sum()) for one, other in pairs)
    spikes = [sum(int(pair[side].sum()) for pair in pairs) for side in (0, 1)]
    return (
        f"neurons that nengo resets to zero subtract their threshold: {spikes[1]} spikes, {spikes[0]} in nengo;"
        f" {differing / max(1, active):.1%} of the active counts differ, on {n_samples} drawn samples of {n_steps} steps"
    )
