"""What the tools print, as values: one module a tool, each pure."""
