"""The plugin's process: `python -m fullbore.provider ENGINE_ADDRESS`."""

import sys

from fullbore.provider.base import serve
from fullbore.provider.plugin import Fullbore

if __name__ == "__main__":
    serve(Fullbore(), sys.argv[1:])
