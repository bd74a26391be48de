"""A described double of one machine's hardware: what sysfs, procfs and NIC tools would say of it.

`write` lays it below a folder that the host sees as FULLBORE_SYSROOT. What is read there is SIMULATED.
"""

from fullbore_sandbox.hardware.tree import VERSION, Machine, files, links, write

__all__ = ["VERSION", "Machine", "files", "links", "write"]
