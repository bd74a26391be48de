VERSION = "0.1.0"
"""Of the package and of the provider."""
