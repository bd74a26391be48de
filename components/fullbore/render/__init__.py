"""Configuration files of the parts that are deployed, rendered from plain values. Pure; no templates."""
