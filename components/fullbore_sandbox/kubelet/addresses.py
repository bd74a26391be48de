"""Addresses of pods: the upper half of the sandbox's subnet, one for the whole life of a pod."""

from __future__ import annotations

import threading
from ipaddress import IPv4Network

from fullbore_sandbox.state import SandboxError


class Addresses:
    """Hands out addresses that no other pod of the sandbox has.

    The runner chooses, not the engine: a pod then keeps its address when its container is started again, and can be
    told its address before it starts.
    """

    def __init__(self, subnet: str) -> None:
        upper = list(IPv4Network(subnet).subnets(prefixlen_diff=1))[1]
        self._free = [str(a) for a in list(upper)[:-1]]
        self._taken: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, uid: str) -> str:
        """The address of a pod. Raises SandboxError where none is left."""
        with self._lock:
            if uid not in self._taken:
                if not self._free:
                    raise SandboxError(
                        f"no address is left in the sandbox's network for more than {len(self._taken)} pods"
                    )
                # The address that was given back longest ago, so that a name cached somewhere does not hit a new pod.
                self._taken[uid] = self._free.pop(0)
            return self._taken[uid]

    def keep(self, uid: str, address: str) -> None:
        """Note the address that a running pod has."""
        with self._lock:
            if address in self._free:
                self._free.remove(address)
            self._taken[uid] = address

    def release(self, uid: str) -> None:
        with self._lock:
            address = self._taken.pop(uid, None)
            if address:
                self._free.append(address)
