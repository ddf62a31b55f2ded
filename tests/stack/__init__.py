"""What needs the real programs: run by `make test-stack`, and by nothing that does not ask for it by name."""
