"""What a control plane of the sandbox is made of: certificates, processes, nodes and the objects it starts with."""

SUFFIXES = {"site": "site.internal", "cloud": "cloud.internal"}
"""What follows `SERVICE.NAMESPACE` in the name of a service, by cluster."""
