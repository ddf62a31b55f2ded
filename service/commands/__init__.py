"""What a person runs besides the server: the demo and the tail. A worker loads none of it."""
