"""What runs on a host: read its settings, apply those that a reboot loses, serve them and the hardware as metrics.

`system`, `settings`, `apply` and `journal` use the standard library alone: Ansible sends them to hosts that hold
nothing yet.
"""

__version__ = "0.1.0"
