"""Several processes of a role on one port: a parent that starts, watches, replaces and speaks for its children."""
