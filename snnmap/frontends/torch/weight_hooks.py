"""Hooks and parametrisations of torch, which compute a layer's weights anew before each call."""

from typing import Any

__all__ = ["list_weight_hooks", "read_parameter", "settle_weights"]


def list_weight_hooks() -> tuple[type, ...]:
    """Return the classes of these hooks: old weight norms and pruning masks."""
    from torch.nn.utils.prune import BasePruningMethod
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    return WeightNorm, SpectralNorm, BasePruningMethod


def read_parameter(module: Any, name: str) -> Any:
    """Return a parameter or buffer as a call of the module in evaluation has it; the module is not changed."""
    from torch.nn.utils.prune import BasePruningMethod
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    found = getattr(module, name)
    hooks: list[Any] = list(module._forward_pre_hooks.values())
    for hook in hooks:
        if isinstance(hook, WeightNorm) and hook.name == name:
            found = hook.compute_weight(module)
        elif isinstance(hook, SpectralNorm) and hook.name == name:
            found = hook.compute_weight(module, do_power_iteration=False)
        elif isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            found = hook.apply_mask(module)  # type: ignore[no-untyped-call]
    return found


def settle_weights(module: Any) -> None:
    """Make parameters of all weights that are computed anew before each call, so that a change of type changes none of them."""
    from torch import no_grad
    from torch.nn import Parameter
    from torch.nn.utils import parametrize

    from snnmap.nn.delta.masked import MaskedSynapses

    for part in list(module.modules()):
        hooks: dict[int, Any] = {key: one for key, one in part._forward_pre_hooks.items() if isinstance(one, list_weight_hooks())}
        for key, hook in hooks.items():
            hook.remove(part)
            del part._forward_pre_hooks[key]
        if parametrize.is_parametrized(part):
            found = {name: getattr(part, name).detach() for name in part.parametrizations}
            part.__class__ = parametrize.type_before_parametrizations(part)  # for copies share the class that has the properties
            del part.parametrizations
            for name, value in found.items():
                part.register_parameter(name, Parameter(value, requires_grad=False))
        if isinstance(part, MaskedSynapses):
            with no_grad():
                part.weight.copy_(part.effective_weight())
            part.threshold = 0.0
