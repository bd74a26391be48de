"""Values and floors in, verdicts out: one module a subject."""
