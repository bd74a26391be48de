"""The pod runner: plays the kubelet for the simulated nodes of both clusters, with real containers on this machine.

kwok keeps the nodes alive and would call any pod Ready. This process runs each pod that is bound to such a node as
podman containers instead, so that Ready means that a container of that image answers its probes.
Run it as `python -m fullbore_sandbox.kubelet --root ROOT`.
"""
