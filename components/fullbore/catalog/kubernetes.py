"""kubeadm, the kubelet and the labels that machines join a cluster with."""

from __future__ import annotations

PACKAGES = ("kubelet", "kubeadm", "kubectl")
"""kubernetes.io: Installing kubeadm."""
DROP_IN_SINCE = "1.30"
"""First release whose kubelet reads --config-dir without being told to in its environment (kubernetes.io, Kubelet
Configuration Drop-in Directory: beta in 1.30, stable in 1.35)."""
JOIN_VERSIONS = (("1.31", "v1beta4"), ("0.0", "v1beta3"))
"""(first release, version of kubeadm's configuration) (kubernetes.io: kubeadm Configuration v1beta4)."""
EVICTION_MIB = 100
"""The kubelet's own memory.available, which counts as reserved (kubernetes.io: Node-pressure Eviction, defaults)."""
IP_FORWARD = "net.ipv4.ip_forward"
"""kubernetes.io: Container Runtimes, Enable IPv4 packet forwarding."""
LABEL_DOMAINS = ("kubernetes.io", "k8s.io")
"""Of their labels, and of those of the domains below, a kubelet gives its node only what follows."""
OWN_LABEL_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
OWN_LABELS = (
    *("beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os"),
    *("failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone"),
    *("kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os", "node.kubernetes.io/instance-type"),
    *("topology.kubernetes.io/region", "topology.kubernetes.io/zone"),
)
"""kubernetes.io: kubelet reference, --node-labels (kubernetes/kubernetes cmd/kubelet/app/options, ValidateKubeletFlags:
with another one the kubelet does not start; kubernetes/kubernetes#85073)."""
