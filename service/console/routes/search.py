"""Search: from an id or a name, whatever it is of, to the page of what has it."""

from typing import Annotated, assert_never

from fastapi import Query, Request, Response

from service.api.dependencies import UseCasesDep
from service.application.searches import MOST_APPLICATIONS, MOST_HITS
from service.console.pages import go, page, pages
from service.console.signing_in import ViewerDep
from service.domain.searches import Hit, HitKind

MAX_CHARACTERS = 600
_TRACE_DIGITS = 32

# The operation that shows a thing of each kind.
_SHOWN_BY = {
    HitKind.APPLICATION: "v1.application.get",
    HitKind.ENDPOINT: "v1.endpoint.get",
    HitKind.MESSAGE: "v1.message.get",
    HitKind.ATTEMPT: "v1.message-attempt.get",
    HitKind.TASK: "v1.background-task.get",
}

router = pages()
routers = (router,)


@router.get("/search", operation_id="console.search")
async def search(
    request: Request, viewer: ViewerDep, use_cases: UseCasesDep, q: Annotated[str, Query()] = ""
) -> Response:
    """Lead to what was found if it is one thing, else list what was found."""
    asked = q.strip()
    found = await use_cases.searches().find(asked) if len(asked) <= MAX_CHARACTERS else []
    shown = [(hit, path_of(hit)) for hit in found if viewer.may(_SHOWN_BY[hit.kind])]
    if len(shown) == 1:
        return go(shown[0][1])
    return page(
        request,
        "search.html",
        asked=asked[:MAX_CHARACTERS],
        found=shown,
        is_trace=is_trace(asked),
        most_applications=MOST_APPLICATIONS,
        most_hits=MOST_HITS,
    )


def path_of(hit: Hit) -> str:
    """The page that shows what was found, below the console's base."""
    match hit.kind:
        case HitKind.APPLICATION:
            return f"/app/{hit.id}"
        case HitKind.ENDPOINT:
            return f"/app/{hit.app_id}/endpoint/{hit.id}"
        case HitKind.MESSAGE:
            return f"/app/{hit.app_id}/msg/{hit.id}"
        case HitKind.ATTEMPT:
            return f"/app/{hit.app_id}/msg/{hit.within}#{hit.id}"
        case HitKind.TASK:
            return f"/tasks/{hit.id}"
        case _:
            assert_never(hit.kind)


def is_trace(asked: str) -> bool:
    """Whether this can only be the id of a trace."""
    return len(asked) == _TRACE_DIGITS and not set(asked) - set("0123456789abcdef")
