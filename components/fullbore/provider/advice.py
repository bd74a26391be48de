"""What to do about a host that failed, by what Ansible, SSH, sudo or the kernel said of it. Pure."""

from __future__ import annotations

import re
from typing import Final

ADVICE: Final = (
    (r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED|No .* host key is known",
     "compare its key with host_key in the environment: another machine answers there, or it was set up anew"),
    (r"Permission denied \(", "let the key of site.ssh.private_key_file log in as site.ssh.user"),
    (r"[Mm]issing sudo password|sudo: a (terminal|password) is required|is not (in|allowed).*sudo",
     "let site.ssh.user run sudo without a password, or name root"),
    (r"No space left on device|Errno 28|Disk quota exceeded", "free space there, then run up again"),
    (r"Read-only file system|Errno 30", "look for a fault of the disk there, then mount it for writing"),
    (r"timed out|Connection refused|No route to host|Network is unreachable|Connection (reset|closed)|closed by remote",
     "see that it is powered, has booted and answers SSH, then run up again"),
    (r"\b(mtu|irq|qos|ecn|cnp|tos|tclass|ipoib|readahead|iopolicy|mig)\.\S+: is (absent|error)",
     "see that the machine has what its group declares; machines with other hardware are a group of their own"),
)  # fmt: skip
"""(what is said, what to do); the first that fits. OpenSSH's ssh.c and sshconnect.c, sudo's and errno's own words."""


def advice(reason: str) -> str:
    """What to do, or nothing where it is not known or said already."""
    return next((what for said, what in ADVICE if re.search(said, reason)), "")
