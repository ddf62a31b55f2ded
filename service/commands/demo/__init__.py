"""The `relevo demo` command: a whole Relevo, three receivers and ten events, in a temporary directory."""

from service.commands.demo.stack import StackUnknown, read
from service.commands.demo.story import run

__all__ = ["StackUnknown", "read", "run"]
