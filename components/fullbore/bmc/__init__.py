"""Machines through their BMCs, over Redfish (DMTF DSP0266): what is in them, and their power."""

from fullbore.bmc.client import Bmc, connect
from fullbore.bmc.inventory import read
from fullbore.bmc.model import Access, Adapter, BmcError, Boot, Cpu, Drive, Firmware, Gpu, Inventory, PowerSupply

__all__ = [
    "Access",
    "Adapter",
    "Bmc",
    "BmcError",
    "Boot",
    "Cpu",
    "Drive",
    "Firmware",
    "Gpu",
    "Inventory",
    "PowerSupply",
    "connect",
    "read",
]
