"""The commands on machines through their BMCs: what they print, and whether all is well."""
