"""Where messages go, a package for each kind of destination."""
