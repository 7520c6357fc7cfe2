"""The device, as data: a record in TOML, and the catalog."""

from snnmap.dataflow.device.catalog import list_devices, load_device, read_device_text
from snnmap.dataflow.device.device import Bits, Device, Memory, Prices

__all__ = ["Bits", "Device", "Memory", "Prices", "list_devices", "load_device", "read_device_text"]
