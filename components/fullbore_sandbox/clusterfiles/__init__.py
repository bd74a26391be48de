"""What a control plane of the sandbox is made of: certificates, processes, nodes and the objects it starts with."""
