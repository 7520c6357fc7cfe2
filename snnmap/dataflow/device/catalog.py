"""Devices by name or by the path of a TOML file."""

from snnmap.core.catalog import list_entries, read_entry
from snnmap.core.toml import read_toml_record
from snnmap.dataflow.device.device import Device

__all__ = ["list_devices", "load_device", "read_device_text"]

_PACKAGE = "snnmap.dataflow.device"


def list_devices() -> list[str]:
    """Return the names of the built-in devices, sorted.

    Example:
        >>> list_devices()
        ['dsp-256', 'dsp-830']
    """
    return list_entries(_PACKAGE)


def load_device(name: str) -> Device:
    """Load a device from the catalog, or from a TOML file where ``name`` is a path.

    Args:
        name: a catalog name, or a path that ends in ``.toml``.

    Raises:
        ChipError: unknown name, unreadable file, missing, unknown or contradictory field.

    Example:
        >>> load_device("dsp-830").multipliers
        830
    """
    return read_toml_record(Device, read_device_text(name), where=name)


def read_device_text(name: str) -> str:
    """Return the TOML text of a record, from the catalog or from a file.

    Raises:
        ChipError: unknown name, or unreadable file.
    """
    return read_entry(_PACKAGE, name, noun="device")
