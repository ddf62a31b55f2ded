"""What Relevo emits: traces, metrics and logs, each fact written once; and what it answers to probes."""
