"""From a model to what its layers cost, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.loading import load_layers
from snnmap.profile import GraphProfile, ProfileOptions, Samples, profile_graph

__all__ = ["profile_model", "read_profile_data"]

_RATE = "fps"
"""What an archive of data calls their rate."""


def profile_model(
    model: object,
    *input_shapes: Sequence[int],
    options: ProfileOptions | None = None,
    data: Samples | None = None,
    weights: str | Path | None = None,
) -> GraphProfile:
    """Profile an ANN: parameters, operations, data volumes, bandwidths and memory of each of its layers.

    ::

        snnmap.profile_model(module, (3, 224, 224))
        snnmap.profile_model("net.onnx", options=snnmap.ProfileOptions(activation_bits=8, fps=60), data=frames)

    Args:
        model: a torch module, an ONNX file or ``onnx.ModelProto``, a function that gives any of these, named as for
            :func:`snnmap.load`, or a ``LayerGraph``.
        input_shapes: of one sample of each input, without the batch; an ONNX graph that tells them needs none.
        options: bits and rate that are assumed.
        data: ``(n_samples, *shape)`` in the order of time, by the input's name where there are several, on which sparsity is
            measured; ``fps``, where there is one among the names, is their rate.
        weights: file of a torch module's ``state_dict``.

    Raises:
        FrontendError: the model cannot be read, or does not say the shape of its input.
        InputError: shapes or data that do not suit it, or data of another rate.
        NetworkError: an operation cannot be run on the data.
    """
    graph, chosen = load_layers(model, *input_shapes, weights=weights), options or ProfileOptions()
    if data is not None:
        data, chosen = _take_rate(data, chosen)
    return profile_graph(graph, chosen, data=data)


def read_profile_data(path: str | Path) -> Samples:
    """Read data as :func:`profile_model` takes them, of a ``.npy`` or ``.npz`` file.

    Raises:
        InputError: it cannot be read.
    """
    fix = "give a .npy file of one array, or an .npz file of one for each input by its name"
    try:
        with Path(path).open("rb") as stream:  # numpy leaves a damaged file open
            found = np.load(stream, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else dict(found.items())
    except Exception as error:  # numpy lets through whatever the bytes lead its readers to
        raise InputError(f"the data cannot be read: {error}", where=str(path), fix=fix) from error


def _take_rate(data: Samples, options: ProfileOptions) -> tuple[Samples, ProfileOptions]:
    """Return data without their rate, and options with it.

    Raises:
        InputError: another rate was given.
    """
    if not isinstance(data, Mapping):
        return data, options
    rest: dict[str, npt.ArrayLike] = {name: array for name, array in data.items() if name != _RATE}
    samples: Samples = next(iter(rest.values())) if len(rest) == 1 else rest
    if _RATE not in data:
        return samples, options
    rate = float(np.asarray(data[_RATE]).item())
    if options.fps not in (None, rate):
        raise InputError(
            "the data are of another rate than the profile",
            where=_RATE,
            measured=f"{rate:g} samples a second",
            limit=f"{options.fps:g}",
            fix=f"profile at the rate of the data (fps={rate:g}, --fps {rate:g}), or give data of the other",
        )
    return samples, replace(options, fps=rate)
