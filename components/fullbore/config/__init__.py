"""What people write, and where a sandbox's parts are: read, checked, frozen."""

from fullbore.config.endpoints import Endpoints, load_endpoints
from fullbore.config.errors import UNKNOWN_SECRET, ConfigError
from fullbore.config.find import environment_names, find_file, repository_root
from fullbore.config.load import KEY, environment_of, load_file, parse
from fullbore.config.models import Environment

__all__ = [
    "KEY",
    "UNKNOWN_SECRET",
    "ConfigError",
    "Endpoints",
    "Environment",
    "environment_names",
    "environment_of",
    "find_file",
    "load_endpoints",
    "load_file",
    "parse",
    "repository_root",
]
