"""Models with biases start on the chip before their input does."""

from torch import nn

from snnmap.chip import Chip
from snnmap.core.errors import DesignRuleError
from snnmap.nn import ChipNetwork, LeadIn
from snnmap.pipeline import CompileOptions, check_model
from snnmap.train.models import require_layers

__all__ = ["align_model"]


def align_model(model: nn.Module, chip: Chip | str, *, options: CompileOptions | None = None) -> LeadIn | ChipNetwork:
    """Wrap a model of chip layers so that it starts as the chip does, each layer with its lag; biases need it.

    Args:
        model: of :class:`snnmap.nn.ChipLIF` and :class:`snnmap.nn.ChipIntegrator` layers. A :class:`snnmap.nn.ChipNetwork`
            is aligned from the start, and needs it only where projections lost all their weights since.
        chip: a chip record, catalog name or TOML path.
        options: choices of the build, the same as later.

    Returns:
        A module to train, compile and verify in the model's place; it shares the model's parameters.

    Raises:
        DesignRuleError: the model cannot be folded.
        FrontendError: the model cannot be read as a network.
        InputError: its neurons are another framework's.
    """
    require_layers(model, "align_model")
    model = model.model if isinstance(model, LeadIn) else model
    checked = check_model(model, chip, options=options)
    if checked.mapped is None:
        raise DesignRuleError(checked.report.errors, checked.report.warnings)
    if isinstance(model, ChipNetwork):
        return model.with_lags(checked.mapped.lags)
    return LeadIn(model, checked.mapped.lags)
