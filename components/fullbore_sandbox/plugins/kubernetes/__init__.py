"""The stand-in plugin `pulumi-resource-kubernetes`: real API calls, against the sandbox's clusters only.

sdk         what the installed SDK's classes accept
strict      inputs against that
checks      names and namespaces filled in
kinds       scope and immutable fields, as tables
kubeconfig  a connection, loopback only
api         the REST calls
target      one object: requests and what is kept of the answers
changes     what an update would change
drift       what changed behind our back
ready, reasons, wait    when an object is ready, and why it is not
provider    the protocol, made of the above
"""
