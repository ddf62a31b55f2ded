"""Bodies of responses for audit events."""

from pydantic import Field

from service.api.schemas.rules import ApplicationIdOut, Shown, Time
from service.domain.audit import AuditEvent


class AuditEventOut(Shown):
    """Who did what to what, when, and under which request."""

    id: str = Field(examples=["audit_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    timestamp: Time
    action: str = Field(examples=["endpoint.secret_rotated"])
    actor: str = Field(examples=["app_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    role: str = Field(examples=["application"])
    token_id: str | None = Field(default=None, examples=["9f86d081884c7d659a2feaa0c55ad015"])
    app_id: ApplicationIdOut | None
    target: str | None = Field(examples=["ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    correlation_id: str = Field(examples=["3561b38c43fc6411b95ecca272857caa"])

    @classmethod
    def of(cls, event: AuditEvent) -> "AuditEventOut":
        """The response for an event."""
        return cls(
            id=event.id,
            timestamp=event.at,
            action=event.action,
            actor=event.actor,
            role=event.role,
            token_id=event.token_id,
            app_id=event.app_id,
            target=event.target,
            correlation_id=event.correlation_id,
        )
