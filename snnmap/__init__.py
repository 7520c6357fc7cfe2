"""snnmap takes trained networks to a fixed LIF chip: what you trained is what the chip does.

The public names stand in ``__init__.pyi``; each is imported when it is first asked for, so that ``import snnmap`` stays
light.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
