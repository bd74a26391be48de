"""The runtime of a serving pod: facts -> tune -> launch, and the engine of the CPU profile."""

__version__ = "0.1.0"
