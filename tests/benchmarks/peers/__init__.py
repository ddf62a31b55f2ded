"""Relevo measured beside its peers, through their public APIs: accepting and delivering together, in turns."""
