"""Whether a finding got worse since it was accepted."""

import math
from decimal import Decimal

from snnmap.core.diagnostics import Diagnostic

__all__ = ["got_worse"]


def got_worse(diagnostic: Diagnostic, accepted: float) -> bool:
    """Say whether what is measured is further beyond its limit than the value that was accepted.

    What is measured counts in as many digits as the accepted value is written with.
    """
    measured, limit = diagnostic.measured_value, diagnostic.limit_value
    if measured is None:
        return False
    if not math.isfinite(measured) or not math.isfinite(accepted):
        return str(measured) != str(accepted)
    digits = -int(Decimal(repr(accepted)).as_tuple().exponent)
    rounded = round(measured, max(0, digits))
    return rounded != accepted if limit is None else abs(rounded - limit) > abs(accepted - limit)
