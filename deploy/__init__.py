"""How Relevo is run and watched."""
