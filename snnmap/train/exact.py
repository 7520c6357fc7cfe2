"""From a float model to one in the chip's integers, to train on with: it starts as the quantiser leaves it."""

import copy
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from snnmap.chip import Chip, MemoryKind
from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import FrontendError, InputError
from snnmap.lif.quantise import QuantiseOptions
from snnmap.network import Population, Projection, expand_terms
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, ChipNetwork, LeadIn, LeakyIntegrator, Surrogate, SurrogateName
from snnmap.pipeline import Artifacts, CompileOptions, Rasters, compile_model
from snnmap.train.models import has_layers

__all__ = ["TRAINING_ROOM", "to_chip_exact"]

TRAINING_ROOM = 16.0


def to_chip_exact(
    model: object,
    chip: Chip | str,
    *,
    calibration: Rasters | None = None,
    options: CompileOptions | None = None,
    surrogate: SurrogateName | Surrogate | None = None,
) -> nn.Module:
    """Return a float model as a torch module that computes in the chip's integers, as quantising the model makes them.

    In a copy of a torch module with layers of ours each :class:`snnmap.nn.LIF` or :class:`snnmap.nn.LeakyIntegrator` and the
    Linear layer before it become a :class:`snnmap.nn.ChipLIF` or :class:`snnmap.nn.ChipIntegrator` in the former's place,
    second synapses and synapses of a neuron onto itself included where they stand for decays that the chip does not code. It
    does at once what the bitstream of the model does, up to weights behind a residual sum, which the copy holds once and the
    chip once a summand.

    Of anything else that :func:`snnmap.load` takes (snnTorch, Rockpool, NIR, Nengo, a ``Network``), and of a
    :class:`snnmap.convert.Conversion`, the quantised network becomes a :class:`snnmap.nn.ChipNetwork`, which does exactly what
    the bitstream does. Training is quantisation-aware training, with the chip's own spike counts: what is trained is what
    the result's bitstream does.

    Args:
        model: whatever :func:`snnmap.compile_model` takes.
        chip: a chip record, catalog name or TOML path.
        calibration: input rasters, ``(n_samples, n_steps, n_inputs)``, for the quantiser; without, inputs are drawn.
        options: choices of the build. Where they are left out, readouts by potential get :data:`TRAINING_ROOM` times the room
            that they were seen to need, since training moves them.
        surrogate: name or :class:`snnmap.nn.Surrogate` for the backward pass of a ``ChipNetwork``, ``relu`` where left out;
            layers of ours keep theirs.

    Returns:
        The copy, aligned with the chip (:func:`snnmap.align_model`) where it has biases; or the ``ChipNetwork``.

    Raises:
        DesignRuleError: the model breaks design rules.
        FrontendError: it cannot be read, or neurons take the currents of several Linear layers, or of one that others share.
        InputError: a surrogate for layers of ours.
    """
    options = options or CompileOptions(quantise=QuantiseOptions(readout_margin=TRAINING_ROOM))
    options = replace(options, verify=False, allow=("SNN6",))
    if isinstance(model, ChipNetwork):
        raise FrontendError("the model is in the chip's integers already", where="ChipNetwork", fix="train it as it is")
    if not isinstance(model, nn.Module) or not has_layers(model):
        artifacts = compile_model(model, chip, options=options, calibration=calibration)
        return ChipNetwork(artifacts.quantised, surrogate=surrogate or "relu")
    if surrogate is not None:
        raise InputError(
            "layers of ours have their own surrogate", where="to_chip_exact", measured=str(surrogate), fix="leave it out"
        )
    return _convert_layers(model, chip, calibration, options)


def _convert_layers(model: nn.Module, chip: Chip | str, calibration: Rasters | None, options: CompileOptions) -> nn.Module:
    """Replace the layers of a copy."""
    model = nn.Sequential(model) if isinstance(model, LIF | LeakyIntegrator) else model
    for path, module in model.named_modules():
        if isinstance(module, ChipLIF | ChipIntegrator):
            raise FrontendError("the model holds chip layers already", where=f"module '{path}'", fix="train it as it is")
    artifacts = compile_model(model, chip, options=options, calibration=calibration)
    exact, lags = copy.deepcopy(model), artifacts.mapped.lags
    linears: set[str] = set()
    for population in artifacts.network.populations:
        feed = _find_feed(artifacts, population.name, linears)
        linears.add(feed.source)
        module = cast("LIF | LeakyIntegrator", model.get_submodule(population.source))
        neurons = _make_layer(module, _Reading(artifacts, population, feed))
        if feed.source != population.source:
            _put(exact, feed.source, nn.Identity())
        _put(exact, population.source, neurons)
    biases = [module.bias for module in exact.modules() if isinstance(module, ChipLIF | ChipIntegrator)]
    return LeadIn(exact, lags) if any((bias != 0).any() or bias.requires_grad for bias in biases) else exact


def _find_feed(artifacts: Artifacts, name: str, taken: set[str]) -> Projection:
    """Return the projection that stands for the Linear layer in front of a population."""
    into = [p for p in artifacts.network.projections if p.post == name and p.delay_steps == 0]
    sources = sorted({projection.source for projection in into})
    if len(sources) != 1 or sources[0] in taken:
        raise FrontendError(
            "a chip layer has its own weights from one value",
            where=f"module '{name}'",
            measured=f"currents of {', '.join(sources) or 'nothing'}" + (", also used elsewhere" if len(sources) == 1 else ""),
            limit="one Linear layer, not shared",
            fix="give each LIF layer one Linear layer and add spike counts instead of currents; or train the network as a whole: "
            "to_chip_exact(snnmap.load(model), chip, ...)",
        )
    return into[0]


class _Reading:
    """The integers of one population of a build."""

    def __init__(self, artifacts: Artifacts, population: Population, feed: Projection) -> None:
        self.artifacts, self.population, self.feed = artifacts, population, feed
        self.mapped, self.program = artifacts.mapped, artifacts.quantised.program
        area, self.slots = self.mapped.table.locate(population.name)
        self.is_output = area == "outputs"
        self.codes = self.program.outputs if self.is_output else self.program.hidden
        quantised = artifacts.quantised
        self.scale = (quantised.output_scale if self.is_output else quantised.hidden_scale)[self.slots]
        more = self.mapped.chip.family.weight_shift
        self.shift, words = self._read_words()
        own = np.zeros(0, np.int64) if self.is_output else self.slots
        between = self.program.memory(MemoryKind.RECURRENT)
        loops = [_block(matrix, own, self.slots) for matrix in between.weights] if own.size else []
        self.n_synapses = max([1, *(n + 1 for blocks in (words, loops) for n, block in enumerate(blocks) if block.any())])
        self.weight = np.concatenate(words[: self.n_synapses], axis=1).T << (self.shift + more)
        self.recurrent_shift = between.shift
        self.recurrent = np.concatenate(loops[: self.n_synapses], axis=1) << (between.shift + more) if loops else None

    def _read_words(self) -> tuple[int, list[IntArray]]:
        """Return the weight shift and the stored words, ``(n_inputs, size)`` a synapse, from the source or its relays."""
        leaf = expand_terms(self.artifacts.network, self.feed.pre)[0]
        route = self.mapped.route(leaf, self.population.name, self.feed.delay_steps)
        rows, stored = self.mapped.source_slots(leaf, route), self.program.memory(route.memory)
        return stored.shift, [_block(matrix, rows, self.slots) for matrix in stored.weights]


def _make_layer(module: LIF | LeakyIntegrator, read: _Reading) -> ChipLIF | ChipIntegrator:
    """Make the chip layer of float neurons; what was trained in them is trained in it."""
    bits, n_inputs = read.mapped.chip.bits, read.weight.shape[1]
    layer: ChipLIF | ChipIntegrator
    if isinstance(module, LIF):
        layer = ChipLIF(
            n_inputs,
            module.size,
            n_synapses=read.n_synapses,
            shift=read.shift,
            recurrent=read.recurrent is not None and bool(read.recurrent.any()),
            recurrent_shift=read.recurrent_shift,
            max_count=read.mapped.chip.outputs.max_count if read.is_output else read.mapped.chip.hidden.max_count,
            surrogate=module.surrogate,
            bits=bits,
            arithmetic=read.mapped.chip.arithmetic,
            train_threshold=module.threshold.requires_grad,
            train_bias=module.bias.requires_grad,
            train_decays=module.alpha.requires_grad or module.beta.requires_grad,
            dt_s=module.dt_s,
        )
        least = read.codes.threshold[read.slots] + read.mapped.chip.family.least_firing
        _set(layer.threshold, least / read.scale)
        if layer.recurrent_weight is not None and read.recurrent is not None:
            _set(layer.recurrent_weight, read.recurrent / np.tile(read.scale, read.n_synapses))
    else:
        layer = ChipIntegrator(
            n_inputs,
            module.size,
            shift=read.shift,
            bits=bits,
            arithmetic=read.mapped.chip.arithmetic,
            train_bias=module.bias.requires_grad,
            train_decays=module.alpha.requires_grad or module.beta.requires_grad,
            dt_s=module.dt_s,
        )
    _set(layer.scale, read.scale)
    _set(layer.weight, read.weight / np.tile(read.scale, read.n_synapses)[:, np.newaxis])
    _set(layer.bias, read.codes.bias[read.slots] / read.scale)
    _set(layer.dash_syn, read.codes.dash_syn[: read.n_synapses, read.slots])
    _set(layer.dash_mem, read.codes.dash_mem[read.slots])
    return layer.to(module.bias)


def _block(matrix: CsrMatrix, rows: IntArray, columns: IntArray) -> IntArray:
    """Return some rows and columns of a sparse matrix as an array."""
    return np.asarray(matrix.to_scipy()[rows][:, columns].toarray(), np.int64)


def _set(tensor: Tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        tensor.copy_(torch.as_tensor(np.ascontiguousarray(values)))


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
