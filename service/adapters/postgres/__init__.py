"""Everything that uses PostgreSQL: the server, the queue and the repositories."""
