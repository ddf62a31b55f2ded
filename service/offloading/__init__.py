"""Where work leaves the event loop: threads and processes, bounded, with deadlines."""
