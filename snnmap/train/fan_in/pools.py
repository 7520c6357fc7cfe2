"""Which weights share the words of a neuron in the chip's memories, and which of them fit: the count of rule SNN204."""

import copy
import operator
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnmap.chip import Chip, MemoryKind, find_relay_cells, load_chip
from snnmap.convert import read_ann
from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import InputError
from snnmap.frontends.torch import load
from snnmap.lif.mapping import lower_network, retime_network
from snnmap.lif.program import Route, count_words
from snnmap.lif.quantise import SecondSynapse, match_decays
from snnmap.network import Network, Population, Projection, expand_terms
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, LeadIn, LeakyIntegrator

__all__ = ["Key", "Pool", "Share", "choose_weights", "is_spiking", "read_pools", "unwrap"]

_UNLIMITED = 2**31
_DELAYS_OF = "generic-4096"
"""The chip whose delays count where a limit is given as a number."""

Words: TypeAlias = tuple[int, ...]
"""One number for each kind of memory, in the order of :class:`snnmap.chip.MemoryKind`."""
Key: TypeAlias = tuple[str, str]
"""Module path and name of a parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The weights of one parameter that arrive at one synapse of a population.

    Attributes:
        path: module path.
        parameter: ``weight``, targets first, or ``recurrent_weight``, targets last.
        start: place of the synapse's first neuron among the parameter's targets.
        n_sources: weights onto a neuron.
        words: words that each weight takes in the input, the recurrent and the output memory: one for each summand of a
            residual sum.
    """

    path: str
    parameter: str
    start: int
    n_sources: int
    words: Words

    @property
    def key(self) -> Key:
        """Module path and parameter."""
        return self.path, self.parameter

    def rows(self, values: Tensor, size: int) -> Tensor:
        """Return the part of a tensor of the parameter's shape as a view, ``(size, n_sources)``."""
        by_target = values if self.parameter == "weight" else values.t()
        return by_target[self.start : self.start + size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """All weights that arrive at one synapse of a population, and the words that its neurons have for them.

    Attributes:
        name: of the population, or the path of the layer.
        size: neurons.
        shares: weights, by the parameter that holds them.
        limits: free words of a neuron in the input, the recurrent and the output memory.
    """

    name: str
    size: int
    shares: tuple[Share, ...]
    limits: Words

    @property
    def words(self) -> Tensor:
        """Words that each weight onto a neuron takes, ``(n_columns, 3) int64``; shares one after the other."""
        return torch.cat([torch.tensor(share.words).repeat(share.n_sources, 1) for share in self.shares])

    @property
    def is_tight(self) -> bool:
        """Whether not all weights fit."""
        return bool((self.words.sum(dim=0) > torch.tensor(self.limits)).any())

    def join(self, values: dict[Key, Tensor]) -> Tensor:
        """Return values of all weights onto each neuron, ``(size, n_columns)``, from tensors of the parameters' shapes."""
        return torch.cat([share.rows(values[share.key], self.size) for share in self.shares], dim=1)

    def split(self, joined: Tensor) -> Iterator[tuple[Share, Tensor]]:
        """Yield each share with its part of ``(size, n_columns)`` values."""
        parts = torch.tensor_split(joined, list(accumulate(share.n_sources for share in self.shares))[:-1], dim=1)
        yield from zip(self.shares, parts, strict=True)


def choose_weights(pool: Pool, scores: Tensor) -> Tensor:
    """Keep for each neuron the weights with the highest score for a word, as many as fit into each memory.

    Args:
        pool: weights and free words.
        scores: ``(size, n_columns)``, at least 0; infinite ones come first.

    Returns:
        ``(size, n_columns) bool``.
    """
    words, limits = pool.words, torch.tensor(pool.limits)
    order = (scores.detach().cpu() / words.sum(dim=1)).argsort(dim=1, descending=True, stable=True)
    used, kept, neurons = (
        torch.zeros(pool.size, 3, dtype=torch.int64),
        torch.zeros(order.shape, dtype=torch.bool),
        range(pool.size),
    )
    for column in order.t():
        grown = used + words[column]
        fits = (grown <= limits).all(dim=1)
        used = torch.where(fits[:, None], grown, used)
        kept[neurons, column] = fits
    return kept.to(scores.device)


def read_pools(model: nn.Module, limit: int | Chip | str, *, input_shape: Sequence[int] | None = None) -> tuple[Pool, ...]:
    """Find the weights that share words of the chip.

    A model of snnmap's neurons is read as the network that is built from it: feed-forward, recurrent and skip weights onto a
    neuron share the recurrent memory, a sum of counts takes a word for each summand, inputs that wait in relays arrive from
    there, and neurons of which the chip does not code the decays keep a word for the synapse onto themselves that the build
    gives them. Where the limit is a number, delays and decays are those of generic-4096. Parallel layers between the same two
    populations are counted apart, though the chip adds their weights up.

    Of other models Linear layers are masked. With a number each is alone. With a chip the model is read as it is converted:
    Linear layers leave room for the clock, for skips and for Conv layers, which stay as they are. (A conversion that holds
    spikes, as ``overshoot="auto"`` may choose, takes two words more: give it a number, or convert with ``"allow"``.)

    Args:
        model: of snnmap's neurons, or of Linear layers.
        limit: the words of a neuron: those of a chip (a record, catalog name or TOML path), or one number for all memories.
        input_shape: of one sample, where the model is one to convert; that of the first Linear layer where left out.

    Raises:
        InputError: a limit below 1, or one in which a layer cannot keep a weight.
        ChipError: unknown or malformed chip.
        FrontendError: a model that cannot be read as a network, or not be converted.
    """
    if not isinstance(limit, str | Chip):
        try:
            limit = operator.index(limit)
        except TypeError as error:
            raise InputError(
                "the limit is neither a whole number nor a chip", measured=repr(limit), fix="give the chip's fan-in limit"
            ) from error
    if isinstance(limit, int) and limit < 1:
        raise InputError("a neuron needs an input", measured=str(limit), limit="1", fix="give the chip's fan-in limit")
    model = unwrap(model)
    if is_spiking(model):
        pools = _pool_network(model, limit)
    else:
        pools = _pool_layers(model, limit) if isinstance(limit, int) else _pool_conversion(model, _read_chip(limit), input_shape)
    for pool in pools:
        _require_room(pool)
    return pools


def is_spiking(model: nn.Module) -> bool:
    """Say whether a model is made of snnmap's neurons, or is one to convert."""
    return any(isinstance(module, LIF | LeakyIntegrator | ChipLIF | ChipIntegrator) for module in model.modules())


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model within a :class:`snnmap.nn.LeadIn`."""
    return model.model if isinstance(model, LeadIn) else model


def _require_room(pool: Pool) -> None:
    for share in pool.shares:
        for kind, words, limit in zip(MemoryKind, share.words, pool.limits, strict=True):
            if words > limit or limit < 0:
                raise InputError(
                    "the limit leaves no room for a single weight of a layer: it needs a word for each summand of its input",
                    where=f"module '{share.path}' onto '{pool.name}', {kind.weights_name}",
                    measured=f"{words} words a weight",
                    limit=f"{max(limit, 0)} free",
                    fix="take fewer residual blocks in one sum, or a chip with more fan-in",
                )


def _pool_layers(model: nn.Module, limit: int) -> tuple[Pool, ...]:
    """Put each Linear layer in a pool of its own."""
    return tuple(
        _make_pool(path, layer.out_features, [_share_of(path, layer, 1)], limit) for path, layer in _find_linear(model).items()
    )


def _pool_conversion(model: nn.Module, chip: Chip, input_shape: Sequence[int] | None) -> tuple[Pool, ...]:
    """Pool Linear layers by the ReLUs that they lead to; one word is the clock's, some are those of other layers and skips.

    How often the conversion stores a layer's weights is seen from the layer alone, the others at 0. Which memory that is, is
    not known here: the smallest counts.
    """
    layers = _find_linear(model)
    shape = input_shape or [layer.in_features for layer in layers.values()][:1]
    others = _count_conversion(model, None, shape)
    shares: defaultdict[str, list[Share]] = defaultdict(list)
    for path, layer in layers.items():
        for target, counts in _count_conversion(model, path, shape).items():
            own = int((counts - others[target]).max(initial=0))
            if own and counts.size == layer.out_features:
                shares[target].append(_share_of(path, layer, -(-own // layer.in_features)))
    free = min(_limits_of(chip)) - 1
    return tuple(_make_pool(name, others[name].size, found, free - int(others[name].max())) for name, found in shares.items())


def _count_conversion(model: nn.Module, path: str | None, input_shape: Sequence[int]) -> dict[str, IntArray]:
    """Count the weights onto each ReLU and output, ``(size,)`` by name, with all Linear layers but one at 0."""
    probe = copy.deepcopy(model)
    for name, layer in _find_linear(probe).items():
        _set_weight(layer, torch.rand(layer.weight.shape) + 0.5 if name == path else torch.zeros(layer.weight.shape))
    ann = read_ann(probe, input_shape)
    targets = {**{layer.name: layer.incoming for layer in ann.layers}, "output": ann.output}
    return {
        name: sum(((term != 0).sum(axis=0) for term in affine.terms.values()), np.zeros(affine.size, np.int64))
        for name, affine in targets.items()
    }


def _set_weight(layer: nn.Linear, weight: Tensor) -> None:
    """Put other weights in, without the masks of those there were."""
    if parametrize.is_parametrized(layer, "weight"):
        layer.__class__ = type(layer).__bases__[0]
    layer.weight = nn.Parameter(weight)


def _find_linear(model: nn.Module) -> dict[str, nn.Linear]:
    return {path: module for path, module in model.named_modules() if isinstance(module, nn.Linear)}


def _share_of(path: str, layer: nn.Linear, words: int) -> Share:
    return Share(path=path, parameter="weight", start=0, n_sources=layer.in_features, words=_only_recurrent(words, others=0))


def _make_pool(name: str, size: int, shares: list[Share], limit: int) -> Pool:
    return Pool(name=name, size=size, shares=tuple(shares), limits=_only_recurrent(limit, others=_UNLIMITED))


def _limits_of(limit: int | Chip | str) -> Words:
    if isinstance(limit, int):
        return (limit,) * len(MemoryKind)
    chip = _read_chip(limit)
    return tuple(chip.memory(kind).max_fan_in or _UNLIMITED for kind in MemoryKind)


def _only_recurrent(value: int, *, others: int) -> Words:
    return tuple(value if kind is MemoryKind.RECURRENT else others for kind in MemoryKind)


def _read_chip(limit: int | Chip | str) -> Chip:
    if isinstance(limit, Chip):
        return limit
    return load_chip(limit if isinstance(limit, str) else _DELAYS_OF)


def _pool_network(model: nn.Module, limit: int | Chip | str) -> tuple[Pool, ...]:
    network = load(model)
    reader = _WordReader(model, network, _read_chip(limit), _limits_of(limit))
    pools = (
        reader.read_pool(population, synapse) for population in network.populations for synapse in range(population.n_synapses)
    )
    return tuple(pool for pool in pools if pool.shares)


def _thin_out(network: Network) -> Network:
    """Leave one weight of each projection: enough for lags and relays, also where all weights are 0."""
    projections = (
        replace(projection, weights=CsrMatrix.from_triplets([0], [0], [1.0], projection.weights.shape))
        for projection in network.projections
    )
    return replace(network, projections=tuple(projections))


def _require_relays(chip: Chip, limit: int) -> None:
    """Refuse a recurrent memory without room for what arrives at a relay: its source, and itself where its cell needs that."""
    words = 1 + any(cell.self_weight for cell in find_relay_cells(chip).values())
    if words > limit:
        raise InputError(
            "the limit leaves no room for the inputs of relays",
            where=MemoryKind.RECURRENT.weights_name,
            measured=f"{words} words a relay",
            limit=str(limit),
            fix="leave out connections that pass populations by, or take a chip with more fan-in",
        )


class _WordReader:
    """Counts the words that each weight takes, as the mapping folds the network."""

    def __init__(self, model: nn.Module, network: Network, chip: Chip, limits: Words) -> None:
        self.modules, self.network, self.limits = dict(model.named_modules()), network, limits
        self.retiming = retime_network(lower_network(_thin_out(network)), chip)
        if any(self.retiming.hops.values()):
            _require_relays(chip, limits[list(MemoryKind).index(MemoryKind.RECURRENT)])
        choice: SecondSynapse = "unmatched" if network.integers else "decays"
        matches = match_decays(_thin_out(network), chip, second_synapse=choice)[1]
        self.with_own_synapse = {match.population for match in matches}

    def read_pool(self, population: Population, synapse: int) -> Pool:
        """Return the pool of one synapse of a population."""
        sources: defaultdict[Key, set[tuple[str, Route]]] = defaultdict(set)
        taken = Counter([MemoryKind.RECURRENT] if population.name in self.with_own_synapse else [])
        n_sources: dict[Key, int] = {}
        for edge in self.network.projections:
            if edge.post == population.name and edge.synapse == synapse:
                parameter, arriving = self._name_parameter(edge), set(self._find_sources(edge))
                if parameter is None:
                    for _, route in arriving:
                        taken[route.memory] += int(edge.weights.column_lengths.max(initial=0))
                    continue
                sources[edge.source, parameter] |= arriving
                n_sources[edge.source, parameter] = edge.weights.shape[0]
        shares = tuple(
            Share(
                path=key[0],
                parameter=key[1],
                start=synapse * population.size,
                n_sources=n_sources[key],
                words=_count_by_memory(arriving),
            )
            for key, arriving in sources.items()
        )
        limits = tuple(limit - taken[kind] for kind, limit in zip(MemoryKind, self.limits, strict=True))
        return Pool(name=population.name, size=population.size, shares=shares, limits=limits)

    def _name_parameter(self, edge: Projection) -> str | None:
        """Name the parameter that holds a projection's weights; None where they are none that masks are put on."""
        module = self.modules[edge.source]
        if isinstance(module, nn.Linear):
            return "weight"
        if edge.delay_steps:
            return "recurrent_weight"
        return "weight" if isinstance(module, ChipLIF | ChipIntegrator) else None

    def _find_sources(self, edge: Projection) -> Iterator[tuple[str, Route]]:
        """Yield source and route of each summand of what a projection takes."""
        for leaf in expand_terms(self.network, edge.pre):
            yield leaf, self.retiming.route(self.network, leaf, edge.post, edge.synapse, edge.delay_steps)


def _count_by_memory(arriving: set[tuple[str, Route]]) -> Words:
    words = count_words(arriving)
    return tuple(words.get(kind, 0) for kind in MemoryKind)
