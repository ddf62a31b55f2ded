"""How a request names a thing: by its identifier, or by the name that its owner gave it."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator

from service.domain.errors import NotFound


def _storable(reference: str) -> str:
    # PostgreSQL keeps no NUL, so there is nothing of such a name, and asking it would be an error.
    if "\x00" in reference:
        raise NotFound
    return reference


_Named = AfterValidator(_storable)

ApplicationRef = Annotated[str, Path(description="The application's id or uid."), _Named]
EndpointRef = Annotated[str, Path(description="The endpoint's id or uid."), _Named]
MessageRef = Annotated[str, Path(description="The message's id or event id."), _Named]
AttemptRef = Annotated[str, Path(description="The attempt's identifier, as lists show it."), _Named]
EventTypeRef = Annotated[str, Path(description="The event type's name, as in `invoice.paid`."), _Named]
TaskRef = Annotated[str, Path(description="The background task's id."), _Named]
TokenRef = Annotated[str, Path(description="The token's identifier, as the list shows it."), _Named]
ImportRef = Annotated[str, Path(description="The import's id, or the one of its file."), _Named]
OfEndpoint = Annotated[str | None, Query(description="Of the endpoint with this id or uid alone."), _Named]
