"""Faults, one after the other, while messages come in: what was lost, what came twice, how long until all was well."""
