"""Run the plugin: `python -m fullbore_sandbox.plugins.kubernetes ENGINE_ADDRESS`."""

from __future__ import annotations

import sys

from fullbore.provider.base import serve
from fullbore_sandbox.plugins.kubernetes.provider import Kubernetes

if __name__ == "__main__":
    serve(Kubernetes(), sys.argv[1:])
