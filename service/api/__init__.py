"""The HTTP interface: what Relevo answers, in the shapes that the official SDKs read."""
