"""The commands of `relevo`, a module for each noun. A command's imports are inside its function, to start quickly."""
