"""What concerns the wire: connections, heads and bodies of requests, and how long a caller is waited for."""
