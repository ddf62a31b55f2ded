"""The composition root: opens what a role needs, passes it in, closes it in reverse. Nothing else opens anything."""

from service.runtime.deliveries import DRAIN
from service.runtime.roles import GRACE, assemble, serve, worker

__all__ = ["DRAIN", "GRACE", "assemble", "serve", "worker"]
