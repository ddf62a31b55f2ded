"""The composition root: opens what a role needs, passes it in, closes it in reverse. Nothing else opens anything."""

from service.runtime.roles import assemble, serve, worker

__all__ = ["assemble", "serve", "worker"]
