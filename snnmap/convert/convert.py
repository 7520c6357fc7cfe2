"""ReLU networks as LIF networks whose spike counts are the activations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, load_chip
from snnmap.convert.ann import INPUT, Ann, measure_levels, repeat_input, run_ann, shift_input
from snnmap.convert.build import join_layers
from snnmap.convert.calibrate import Compensation, LayerError, measure_errors
from snnmap.convert.choose import Choice, choose_attempt, warn_of_error
from snnmap.convert.confirm import confirm_onnx
from snnmap.convert.encode import encode_ports, read_values, split_ports
from snnmap.convert.nengo_read import read_nengo
from snnmap.convert.options import ConvertOptions, Pools, Signed
from snnmap.convert.prune import Pruning, prune_ann
from snnmap.convert.read import read_ann, read_graph, read_onnx
from snnmap.core import FloatArray, IntArray, record
from snnmap.core.errors import InputError, OptionError
from snnmap.frontends import sklearn as sklearn_frontend
from snnmap.graph import LayerGraph
from snnmap.network import Network

__all__ = ["Conversion", "convert_ann", "convert_model", "read_data", "read_model"]


@record
class Conversion:
    """A converted network, and how to feed and read it.

    Attributes:
        network: with input ports ``input`` and ``clock`` (the most spikes in each step of the presentation; it carries biases),
            and where spikes are held back ``hold`` and a ``release`` for each level.
        ann: the ANN that it stands for, of input values less ``input_min``, pruned where that was asked for, without neurons
            that clip nothing, its channels scaled where they are balanced each by itself.
        options: of the conversion, ``auto`` replaced by what was taken.
        units: activation that one spike count over the presentation stands for, by layer.
        errors: a line a layer, on calibration data.
        compensations: a line a layer.
        calibration: ``(n, time, size)`` counts by input port, of the first calibration data: what the quantiser takes.
        expected: ``(n, n_outputs) float64``, the whole ANN's own outputs for the samples in ``calibration``, which
            :meth:`read_logits` of a run of these should give.
        choices: a line a way that was tried, with what it errs and costs; one is taken.
        pruning: what the ANN lost before it was converted; None where nothing was pruned.
    """

    network: Network
    ann: Ann
    options: ConvertOptions
    units: dict[str, float]
    errors: tuple[LayerError, ...]
    compensations: tuple[Compensation, ...]
    calibration: Mapping[str, IntArray]
    expected: FloatArray
    choices: tuple[Choice, ...]
    pruning: Pruning | None = None

    @property
    def ports(self) -> dict[str, int]:
        """Channels by input port, in the chip's order."""
        return {port.name: port.size for port in self.network.inputs}

    @property
    def latency_steps(self) -> int:
        """Steps from the first input to the answer: presentation and settling."""
        return self.options.n_steps + self.options.settle_steps

    def encode(self, inputs: npt.ArrayLike) -> IntArray:
        """Return spike counts for input values, in the coding of the options.

        Args:
            inputs: ``(n, ...)`` values from ``input_min`` to ``input_max``.

        Returns:
            ``(n, n_steps + settle_steps, n_inputs + n_control)``, the clock after the inputs; see :attr:`ports`.

        Raises:
            InputError: no array of numbers, values out of range, or a wrong number of them.
        """
        n_levels = max(measure_levels(self.ann).values())
        ports = encode_ports(inputs, self.ann.n_inputs, n_levels, self.options)
        return np.concatenate([ports[name] for name in self.ports], axis=2)

    def split(self, counts: IntArray) -> dict[str, IntArray]:
        """Return encoded counts by input port, as simulation and calibration of the network take them."""
        return split_ports(counts, self.ports)

    @property
    def pools(self) -> dict[str, int]:
        """Neurons by pool that is a layer of its own, each for a step of latency."""
        return {layer.name: layer.incoming.size for layer in self.ann.layers if layer.kind == "pool"}

    @property
    def changes(self) -> tuple[str, ...]:
        """What was done to the ANN so that the chip stores it, each with what it costs."""
        pools = (
            f"pool '{name}' is {size} neurons and a step of latency, for fewer weights of a neuron behind it"
            for name, size in self.pools.items()
        )
        return (*pools, *(() if self.pruning is None else (f"pruned: {self.pruning}",)))

    @property
    def depth(self) -> float:
        """Thresholds below 0 that potentials should be able to reach on the chip: 16, or what is held and a quarter more."""
        return max(16.0, 1.25 * max((row.held for row in self.compensations), default=0.0))

    def read_logits(self, potentials: npt.ArrayLike) -> FloatArray:
        """Return the ANN's outputs, ``(n, n_classes)``, from the outputs' potentials ``(n, time, n_classes)`` of a run."""
        logits: FloatArray = self._read_last(potentials) * self.units["output"]
        return logits

    def read(self, potentials: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Return classes from the outputs' potentials ``(n, time, n_classes)`` of a run: the highest in the last step.

        Raises:
            InputError: there is one output, which is no class, or these are no potentials of the outputs.
        """
        if self.expected.shape[1] == 1:
            fix = "read its value: conversion.read_logits"
            raise InputError(
                "one output decides nothing", where="Conversion.read", measured="1", limit="2 or more outputs", fix=fix
            )
        classes: npt.NDArray[np.intp] = self._read_last(potentials).argmax(axis=1)
        return classes

    def _read_last(self, potentials: npt.ArrayLike) -> FloatArray:
        """Return what the outputs hold in the last step, ``(n, n_classes)``."""
        n_steps, n_classes = self.latency_steps, self.expected.shape[1]
        values = np.asarray(potentials, object if isinstance(potentials, Mapping) else np.float64)
        if values.ndim != 3 or values.shape[2] != n_classes:
            raise InputError(
                "these are no potentials of the outputs",
                measured=f"shape {values.shape}" if values.ndim else type(potentials).__name__,
                limit=f"(n, {n_steps}, {n_classes})",
                fix='give those of a run: conversion.read(artifacts.run(conversion.encode(inputs))["output"])',
            )
        last: FloatArray = values[:, -1]
        return last


def convert_ann(
    model: Any, calibration: npt.ArrayLike, *, options: ConvertOptions | None = None, chip: Chip | str | None = None
) -> Conversion:
    """Convert a torch module of linear layers and ReLUs to a LIF network.

    Each ReLU becomes an integrate-and-fire neuron with reset by subtraction; its spike count over the presentation, times
    the layer's unit, is the activation. Weights are balanced so that the given percentile of the activations is the largest
    rate; a quantised activation's unit is its step. Biases are weights from a clock channel, so that they come exactly as long
    as the input does, however deep.

    Args:
        model: ``torch.nn.Module`` (:func:`read_ann`), path of an ONNX file or ``onnx.ModelProto`` (:func:`read_onnx`),
            ``nengo.Network`` (:func:`read_nengo`), a :class:`snnmap.graph.LayerGraph`, or an :class:`Ann`.
        calibration: ``(n, ...)`` input values as the model takes them, some hundreds.
        options: choices.
        chip: a chip record, catalog name or TOML path that the network is for; without, it is of no chip's size.

    Warns:
        ConversionWarning: the outputs on calibration data err by more than ``error_limit``, in every way that was tried.

    Raises:
        FrontendError: an operation has no counterpart.
        InputError: calibration data that are empty, out of range or of the wrong shape.
        NoRoomError: the chip has not channels and neurons enough, as counting shows before anything is run.
    """
    OptionError.require_record(options, ConvertOptions, of="a conversion")
    chips = () if chip is None else (load_chip(chip),)
    conversion = convert_model(model, calibration, options or ConvertOptions(), chips)
    warn_of_error(conversion.choices, conversion.options.error_limit, stacklevel=2)
    return conversion


def convert_model(model: Any, calibration: npt.ArrayLike, options: ConvertOptions, chips: Sequence[Chip] = ()) -> Conversion:
    """Convert as :func:`convert_ann`, for any of some chips, without a warning: for what reports the errors itself."""
    data, chip = read_data(calibration), _take_one(chips) if options.prune else None
    ann = read_model(model, data.shape[1:], signed=options.signed, samples=data, pools=options.pools, chips=chips)
    _require_size(ann, data)
    whole, values, pruning = shift_input(ann, options.input_min), data - options.input_min, None
    ann = whole
    if chip is not None:
        ann, pruning = prune_ann(whole, values, chip)
    ann = repeat_input(ann)
    best, choices = choose_attempt(ann, data, options)
    control, n_run = [name for name in best.ports if name != INPUT], len(best.activations["output"])
    return Conversion(
        network=join_layers(best.ann, best.calibrated.parts, control, best.options),
        ann=best.ann,
        options=best.options,
        units=best.units,
        errors=measure_errors(best.ann, best.units, best.activations, best.calibrated.spikes),
        compensations=best.calibrated.compensations,
        calibration=best.ports,
        expected=best.activations["output"] if pruning is None else run_ann(whole, values[:n_run])["output"],
        choices=choices,
        pruning=pruning,
    )


def read_model(
    model: Any,
    input_shape: Sequence[int],
    *,
    signed: Signed = "refuse",
    samples: FloatArray | None = None,
    pools: Pools = "weights",
    chips: Sequence[Chip] = (),
) -> Ann:
    """Read a model of any kind that :func:`convert_ann` takes.

    Args:
        model: to read.
        input_shape: of one sample.
        signed: as in :class:`ConvertOptions`.
        samples: ``(n, *input_shape)`` on which a torch module is compared with what was read.
        pools: as in :class:`ConvertOptions`.
        chips: of which one must have room for the network.

    Raises:
        FrontendError: an operation has no counterpart, or there is no reader for such a model.
        NoRoomError: none of the chips has channels and neurons enough.
    """
    package = type(model).__module__.partition(".")[0]
    if isinstance(model, Ann):
        return model
    if isinstance(model, LayerGraph):
        return read_graph(model, signed=signed, samples=samples, pools=pools, chips=chips)
    if isinstance(model, str | Path) or package == "onnx":
        ann = read_onnx(model, input_shape, signed=signed, pools=pools, chips=chips)
        if samples is not None:
            confirm_onnx(ann, model, samples)
        return ann
    if any(cls.__module__.startswith("sklearn.") for cls in type(model).__mro__):
        fix = sklearn_frontend.FIX
        return read_graph(sklearn_frontend.load(model), signed=signed, samples=samples, pools=pools, chips=chips, fix=fix)
    if package == "nengo":
        return read_nengo(model)
    return read_ann(model, input_shape, signed=signed, samples=samples, pools=pools, chips=chips)


def read_data(values: Any, what: str = "calibration data") -> FloatArray:
    """Return values as float64.

    Raises:
        InputError: no batch, no samples, or values that are not finite.
    """
    data = read_values(values, what)
    if data.ndim < 2 or not data.shape[0]:
        raise InputError(
            f"the {what} are empty or have no batch", measured=str(data.shape), limit="(n, ...)", fix="give some hundred inputs"
        )
    if not np.isfinite(data).all():
        sample = int(np.flatnonzero(~np.isfinite(data.reshape(len(data), -1)).all(axis=1))[0])
        raise InputError(
            f"the {what} are not finite",
            where=f"sample {sample}",
            measured=f"{np.count_nonzero(~np.isfinite(data))} of {data.size} values",
            limit="0",
            fix="mend or leave out these samples",
        )
    return data


def _take_one(chips: Sequence[Chip]) -> Chip:
    if len(chips) != 1:
        raise InputError(
            "an ANN is pruned to the fan-in of one chip",
            where="ConvertOptions.prune",
            measured=", ".join(chip.name for chip in chips) or "none",
            limit="1",
            fix="name the chip (convert_ann(chip=), snnmap convert --chip)",
        )
    return chips[0]


def _require_size(ann: Ann, data: FloatArray) -> None:
    size = int(np.prod(data.shape[1:]))
    if size != ann.n_inputs:
        raise InputError(
            "the calibration data do not fit the ANN's input",
            measured=str(size),
            limit=str(ann.n_inputs),
            fix="give one value an input",
        )
