"""The `relevo tail` command: an application's attempts in a terminal, as they are made."""

from service.commands.tail.following import Refused, Stream, follow

__all__ = ["Refused", "Stream", "follow"]
