"""`python -m fullbore` is the command `fullbore`."""

from fullbore.cli import main

main()
