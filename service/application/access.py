"""Who is calling, and what they may do. How a token proves it is an adapter's business."""

from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.errors import NotAllowed
from service.domain.ids import ApplicationId, OrgId

Role = Literal["admin", "writer", "reader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An organisation, or with `app_id` one application of it."""

    org_id: OrgId
    app_id: ApplicationId | None = None
    role: Role = "admin"

    def require_organisation(self) -> None:
        """NotAllowed for a caller who is only an application."""
        if self.app_id is not None:
            raise NotAllowed

    def require_write(self) -> None:
        """NotAllowed for a reader."""
        if self.role == "reader":
            raise NotAllowed

    def require_admin(self) -> None:
        """NotAllowed for anyone but an admin."""
        if self.role != "admin":
            raise NotAllowed


class TokenVerifier(Protocol):
    """Tells who a bearer token speaks for."""

    def verify(self, token: str) -> Caller:
        """NotAuthenticated for a token that does not hold."""
        ...
