"""containerd: the versions of its configuration, and what its service needs."""

from __future__ import annotations

CONFIG_V3 = "2.0"
"""First release with version 3 of the configuration and its plugin names (containerd docs/containerd-2.0.md)."""
SERIES = ("1.6", "1.7", "2.0", "2.1", "2.2")
"""Minor releases that are known, older first (containerd RELEASES.md, "Current State of containerd Releases")."""
CDI_SINCE = "1.7"
"""First release whose CRI plugin takes CDI devices (containerd docs/cri/config.md, enable_cdi)."""
RUNTIME_PLUGIN = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}
IMAGE_PLUGIN = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}
"""{version of the configuration: plugin} (containerd docs/cri/config.md)."""
HANDLER = "/usr/bin/nvidia-container-runtime"
"""Where nvidia-container-toolkit-base installs it (NVIDIA Container Toolkit, installation guide)."""
LIMITS = {"LimitMEMLOCK": "infinity", "LimitNOFILE": "1048576"}
"""RDMA pins memory: Azure/AKS nvidia-setup/README.md."""
