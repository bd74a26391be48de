"""Acceptance as evidence: outputs of tools in, verdicts out, signed. Pure: no I/O, no clock.

parse/   what the tools print -> values; `Unreadable` where it is not what the tool prints
floors   rows of the catalog, scaled to the topology
gates/   values and floors -> verdicts
judge    all gates of a host, and of a site
signed   verdicts, versions and an expiry under a signature
"""
