"""What is a torch module that can be read, and what only looks like one."""

from typing import Any

from snnmap.core.errors import FrontendError
from snnmap.core.mistaken import find_mistake

__all__ = ["require_module", "require_no_spikes", "require_own_forward", "unwrap"]

_SPIKING = ("snnmap.nn.neurons.", "snnmap.nn.chip.", "snntorch.", "rockpool.", "norse.", "sinabs.", "spikingjelly.")
_OURS = ("torch.nn.modules.", "snnmap.")


def unwrap(module: Any) -> Any:
    """Return the module within ``torch.compile``, ``DataParallel`` or an ``ExportedProgram``, which computes the same."""
    from torch import nn

    if type(module).__module__.startswith("torch.export."):
        return _find_exported(module) if hasattr(module, "graph_module") else module
    original = getattr(module, "_orig_mod", None)
    if isinstance(original, nn.Module):
        return unwrap(original)
    return unwrap(module.module) if isinstance(module, nn.DataParallel) else module


def _find_exported(program: Any) -> Any:
    try:
        return program.module()
    except Exception as error:  # whatever torch raises, such as for a layer named 'in', of which it writes code
        fix = "give the torch module that it was exported from"
        raise FrontendError.from_failure(
            "torch makes no module of the program", error, where="ExportedProgram", fix=fix
        ) from error


def require_module(module: Any, where: str = "convert_ann") -> None:
    """Refuse what is no torch module, one without values, and one with layers that quantise as they run.

    Raises:
        FrontendError: it says what was given instead.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise _refuse_kind(module, where)
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule) and not isinstance(module, torch.jit.ScriptModule):
            raise FrontendError(
                "a TorchScript module within another module cannot be followed",
                where=f"module '{path}'",
                fix="give the whole model as TorchScript, or the torch module that it was made from",
            )
        kind = type(part).__module__
        if kind.startswith("torch.ao.") and not kind.startswith("torch.ao.nn.intrinsic.modules."):  # which are fused floats
            raise FrontendError(
                f"a layer {kind}.{type(part).__name__} quantises as it runs, and does not compute what its parameters say",
                where=f"module '{path}'",
                fix="give the float model, with QuantisedReLU of snnmap.nn where activations are quantised, or export that to "
                "ONNX and quantise it with onnxruntime.quantization.quantize_static",
            )
    for path, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_meta:
            raise FrontendError(
                "the module has no values", where=f"'{path}'", measured="device 'meta'", fix="load its state_dict(), on the CPU"
            )
    for path, parameter in module.named_parameters():
        if parameter.is_complex():
            raise FrontendError(
                "complex weights, and those of neurons are real",
                where=f"'{path}'",
                measured=str(parameter.dtype).removeprefix("torch."),
                fix="give real and imaginary parts as inputs of their own, and train real weights",
            )


def require_own_forward(module: Any, where: str) -> None:
    """Refuse a leaf that is a subclass of a known layer but computes something else.

    Raises:
        FrontendError: its forward is none of torch's own layers.
    """
    owner = next(cls for cls in type(module).__mro__ if "forward" in cls.__dict__)
    if owner.__module__.startswith(_OURS):
        return
    raise FrontendError(
        f"a layer {owner.__module__}.{owner.__name__} does not compute what its parameters say",
        where=where,
        measured="a forward of its own",
        limit="a forward of torch.nn's own layers",
        fix="write it with layers of torch.nn",
    )


def require_no_spikes(module: Any) -> None:
    """Refuse a torch module with spiking neurons, which is no ANN.

    Raises:
        FrontendError: it names the first.
    """
    for path, part in module.named_modules():
        if type(part).__module__.startswith(_SPIKING):
            raise FrontendError(
                "a spiking neuron is no part of an ANN",
                where=f"module '{path}'" if path else type(part).__name__,
                measured=f"{type(part).__module__}.{type(part).__qualname__}",
                fix="give the model as it is to snnmap.compile_model(model, chip): a spiking network needs no conversion",
            )


def _refuse_kind(model: Any, where: str) -> FrontendError:
    name = f"{type(model).__module__}.{type(model).__qualname__}"
    mistake = find_mistake(model)
    if mistake is not None:
        place = f"{model.__module__}.{model.__qualname__}" if isinstance(model, type) else where
        return FrontendError(mistake[0], where=place, measured=name, fix=mistake[1])
    if name.startswith(("snnmap.network.", "snnmap.convert.")):
        fix = "give it to snnmap.compile_model(model, chip) as it is"
        return FrontendError("a spiking network needs no conversion", where=where, measured=name, fix=fix)
    fix = (
        "give a torch.nn.Module, the path of an ONNX file, an onnx.ModelProto, a nengo.Network, an estimator of scikit-learn, a "
        "LayerGraph or an Ann"
    )
    if name.startswith("sklearn."):
        fix = "give snnmap.frontends.sklearn.load(estimator), a layer graph"
    return FrontendError("no reader converts such a model", where=where, measured=name, fix=fix)
