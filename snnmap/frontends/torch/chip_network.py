"""From a network in the chip's integers that was trained as one torch module back to a network."""

from typing import TYPE_CHECKING

import numpy as np

from snnmap.chip import find_family
from snnmap.core import CsrMatrix
from snnmap.frontends.torch.modules import as_array
from snnmap.network import Network, Population, Projection

if TYPE_CHECKING:
    from snnmap.nn import ChipNetwork
    from snnmap.nn.chip.parts import ChipPopulation

__all__ = ["read_chip_network"]


def read_chip_network(module: "ChipNetwork", name: str | None, version: str) -> Network:
    """Return the network of a :class:`snnmap.nn.ChipNetwork` with its own names, ports and delays, without weights that became 0.

    Args:
        module: to read; it is not changed.
        name: of the network; that which the module was made from where left out.
        version: of torch.
    """
    populations = module.list_populations()
    return Network(
        name=name or module.name,
        inputs=module.inputs,
        populations=tuple(_read_population(population) for population in populations),
        projections=tuple(projection for population in populations for projection in _read_projections(population)),
        outputs=module.outputs,
        dt_s=module.dt_s,
        integers=True,
        provenance={
            "framework": f"torch {version}",
            "reset": find_family(module.arithmetic).reset,
            "integrator": f"integers of {module.chip_name}",
        },
    )


def _read_population(population: "ChipPopulation") -> Population:
    codes, family = population.codes(), find_family(population.arithmetic)
    never_fires = population.never_fires.cpu().numpy()
    return Population.create(
        population.name,
        population.size,
        alpha=family.synapse_factors(np.rint(as_array(codes.dash_syn))),
        beta=family.membrane_factors(np.rint(as_array(codes.dash_mem))),
        reset=family.reset,
        threshold=np.where(never_fires, np.inf, as_array(codes.threshold)),
        bias=as_array(codes.bias),
        max_count=population.max_count,
        source=population.path,
    )


def _read_projections(population: "ChipPopulation") -> list[Projection]:
    """Return the weights onto a population; each counts alpha times on chips that decay after the input."""
    gain = find_family(population.arithmetic).weight_gain(np.rint(as_array(population.codes().dash_syn)))
    found = []
    for part in population.list_incoming():
        targets = part.targets.cpu().numpy()
        data = as_array(part.codes(population.scale)) * gain[part.synapse, targets]
        shape = (len(part.starts) - 1, population.size)
        weights = CsrMatrix.from_triplets(part.sources.cpu().numpy(), targets, data, shape)
        found.append(
            Projection(
                name=part.name,
                pre=part.pre,
                post=population.name,
                weights=weights,
                synapse=part.synapse,
                delay_steps=part.delay_steps,
                source=population.path,
            )
        )
    return found
