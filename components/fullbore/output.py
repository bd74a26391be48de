"""How a command ends when whoever reads its output has gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

EXIT_UNREAD = 1


@contextmanager
def ending_with_the_reader() -> Generator[None]:
    """Exits with 1, and without a traceback, where the reader of standard output ends before it, as `head -1` does."""
    try:
        yield
    except BrokenPipeError:
        # Point stdout at nothing, so that closing it at exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_UNREAD)
