"""sushy-emulator as it is, but a machine switches within a second: its fake driver waits for up to eleven."""

import sys

from sushy_tools.emulator.main import main
from sushy_tools.emulator.resources.systems import fakedriver


class Least:
    """In place of the driver's module `random`."""

    @staticmethod
    def randint(least: int, most: int) -> int:
        return least


fakedriver.random = Least  # type: ignore[assignment]
sys.exit(main())
