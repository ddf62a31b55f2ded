"""Where the official SDKs of the first line (1.x) want another answer than those of the second."""

import re

from fastapi import Request, Response

_FIRST_LINE = re.compile(r"\bsvix-libs/[01]\.").search


def fitted(response: Response, request: Request) -> Response:
    """The answer; without its body for an SDK that fails on one where it knows of none."""
    # Java and Kotlin of 1.x take a body for a fault here, Python of 2.x its absence.
    if response.status_code == 200 and _FIRST_LINE(request.headers.get("user-agent", "")):
        return Response(status_code=204)
    return response
