"""Serve the emulated AWS on a loopback port until it is told to end."""

import sys

from moto.server import main

from fullbore_sandbox.emulator import install

install()
main(["--host", "127.0.0.1", "--port", sys.argv[1]])
