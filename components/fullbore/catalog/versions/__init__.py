"""Versions of drivers, libraries and tools: which releases there are, and which of them do not go together."""
