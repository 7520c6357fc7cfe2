"""The operations: one record each, in a file of its family; every file of this folder is found without being named."""

from importlib import import_module
from pkgutil import iter_modules

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
