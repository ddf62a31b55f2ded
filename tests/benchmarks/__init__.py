"""How fast Relevo is, measured in real processes beside what one would write instead. `python -m tests.benchmarks`."""
