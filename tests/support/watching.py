"""Which files of the service run for something, as seen by the interpreter."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SERVICE = Path(__file__).parents[2] / "service"


@contextmanager
def watched() -> Iterator[set[str]]:
    """The files of `service` of which functions run meanwhile; what runs when a module is imported does not count."""
    files = set[str]()

    def watch(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(f"{SERVICE}/"):
            files.add(code.co_filename.removeprefix(f"{SERVICE}/"))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield files
    finally:
        sys.setprofile(before)
