"""Hooks of torch that compute a layer's weights anew before each call: old weight norms and pruning masks."""

from typing import Any

__all__ = ["list_weight_hooks", "read_parameter"]


def list_weight_hooks() -> tuple[type, ...]:
    """Return the classes of these hooks."""
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
