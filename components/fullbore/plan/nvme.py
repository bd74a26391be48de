"""What machines must hold of their NVMe drives: read-ahead and path policy, now and whenever a drive appears. Pure.

Kinds of setting, and how each is read back on the host:

    readahead.nvme   KiB of read-ahead that all NVMe drives share, else "mixed: COUNT VALUE, ..."
    iopolicy.nvme    path policy that all NVMe subsystems share, else "mixed: ..."
"""

from __future__ import annotations

from collections.abc import Iterator

from fullbore.config.models import HostGroup
from fullbore.plan.model import FilePlan, Setting

ROLE = "storage"
RULES_FILE = "/etc/udev/rules.d/92-fullbore-storage.rules"
_READ_AHEAD = 'SUBSYSTEM=="block", KERNEL=="nvme[0-9]*n[0-9]*", ENV{DEVTYPE}=="disk", ATTR{queue/read_ahead_kb}='
"""Linux Documentation/ABI/stable/sysfs-block: queue/read_ahead_kb."""
_POLICY = 'SUBSYSTEM=="nvme-subsystem", ATTR{subsystype}=="nvm", ATTR{iopolicy}='
"""Linux Documentation/admin-guide/nvme-multipath.rst; the form of nvme-cli's 71-nvmf-iopolicy-netapp.rules."""


def nvme_settings(group: HostGroup) -> Iterator[Setting]:
    """None where the environment leaves the drives alone."""
    given = group.nvme
    if given and given.read_ahead_kib is not None:
        yield Setting(id="readahead.nvme", role=ROLE, want=str(given.read_ahead_kib))
    if given and given.io_policy:
        yield Setting(id="iopolicy.nvme", role=ROLE, want=given.io_policy)


def nvme_files(group: HostGroup) -> Iterator[FilePlan]:
    """The udev rule that sets drives as they appear: at boot, and those that come over a fabric later."""
    wants = {setting.id: setting.want for setting in nvme_settings(group)}
    rules = {"readahead.nvme": _READ_AHEAD, "iopolicy.nvme": _POLICY}
    lines = [f'ACTION=="add|change", {rules[id]}"{want}"\n' for id, want in wants.items()]
    if lines:
        heading = f"# Written by Fullbore (role {ROLE}); changes made here are undone.\n"
        yield FilePlan(path=RULES_FILE, role=ROLE, text=heading + "".join(lines))
