"""Which models the tools of training take as they are, and what to tell about the others."""

from collections.abc import Mapping

from torch import nn

from snnmap.convert import Conversion
from snnmap.core.errors import InputError
from snnmap.loading import load
from snnmap.network import Network
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, ChipNetwork, LeakyIntegrator

__all__ = ["has_layers", "read_network", "require_layers", "require_module"]

_LAYERS = (LIF, LeakyIntegrator, ChipLIF, ChipIntegrator)
_FOREIGN = ("snntorch", "rockpool", "norse", "sinabs", "spikingjelly", "nirtorch", "lava")
_EXACT = (
    "to_chip_exact(model, chip, calibration=...) gives a module that it takes; of other models, snnmap.load says what it reads"
)


def has_layers(model: object) -> bool:
    """Say whether a model is a torch module with layers of ours."""
    return isinstance(model, nn.Module) and any(isinstance(part, _LAYERS) for part in nn.Module.modules(model))


def read_network(model: object) -> Network:
    """Return the network of anything that :func:`snnmap.load` takes, or of a conversion.

    Raises:
        FrontendError: it cannot be read; the message names it.
    """
    return model.network if isinstance(model, Conversion) else load(model)


def require_module(model: object, tool: str) -> None:
    """Refuse what is no torch module, or has other parameters than one.

    Raises:
        InputError: naming its class.
    """
    if not isinstance(model, nn.Module):
        raise _refuse(model, tool, "a torch module", _EXACT)
    if isinstance(model.parameters(), Mapping):
        raise _refuse(model, tool, "a torch module, with torch's parameters()", f"model.to_torch() is one; {_EXACT}")


def require_layers(model: object, tool: str, *, network_fix: str = "") -> None:
    """Refuse models whose neurons are another framework's, and where ``network_fix`` says why, whole chip networks.

    Torch modules without any neurons pass; the tool says itself what it makes of them.

    Raises:
        InputError: naming the class.
    """
    if isinstance(model, ChipNetwork):
        if network_fix:
            raise _refuse(model, tool, "a torch module of LIF, ChipLIF or Linear layers", network_fix)
        return
    if not isinstance(model, nn.Module):
        raise _refuse(model, tool, "a torch module of snnmap.nn layers", _EXACT)
    for part in nn.Module.modules(model):
        if type(part).__module__.partition(".")[0] in _FOREIGN and not has_layers(model):
            raise _refuse(part, tool, "a torch module of snnmap.nn layers", _EXACT)


def _refuse(model: object, tool: str, limit: str, fix: str) -> InputError:
    kind = type(model)
    name = f"{kind.__module__.partition('.')[0]}'s {kind.__qualname__}"
    return InputError(f"{tool} cannot take this model", where=tool, measured=name, limit=limit, fix=fix)
