"""Holding payloads against the schemas of their event types before they are accepted.

What was learnt of a rule is used until the intake says that it has changed meanwhile, so nothing goes stale and a
message costs no question of its own.
"""

from collections import OrderedDict
from dataclasses import replace

from service.application import json_schemas
from service.application.ports.engine import PayloadRule, PayloadRules
from service.domain.errors import Invalid
from service.domain.ids import OrgId
from service.domain.messages import NewMessage
from service.observability.processes import Processes

REMEMBERED = 4096


class PayloadChecks:
    """Checks what takes a moment at once, and everything else in a process with a deadline."""

    def __init__(self, rules: PayloadRules, processes: Processes) -> None:
        self._rules = rules
        self._processes = processes
        self._known: OrderedDict[tuple[OrgId, str], PayloadRule] = OrderedDict()

    async def checked(self, message: NewMessage) -> NewMessage:
        """The message, held against the rule as far as one is known. Invalid."""
        rule = self._known.get((message.org_id, message.event_type))
        return message if rule is None else await self._held_against(rule, message)

    async def checked_afresh(self, message: NewMessage) -> NewMessage:
        """The same, against the rule as it is now."""
        rule = await self._rules.rule(message.org_id, message.event_type)
        self._remember((message.org_id, message.event_type), rule)
        return replace(message, checked_against=None) if rule is None else await self._held_against(rule, message)

    async def _held_against(self, rule: PayloadRule, message: NewMessage) -> NewMessage:
        faults = await self._faults(rule.schema, message.payload)
        if faults:
            # The rule may be an old one: only what is refused by the present one is refused.
            if await self._rules.rule(message.org_id, message.event_type) != rule:
                return message
            raise json_schemas.refused(faults)
        return replace(message, checked_against=rule.version)

    async def _faults(self, schema: object, payload: bytes) -> list[str]:
        if schema is None:
            return []
        if json_schemas.is_cheap(schema, payload):
            return json_schemas.faults(schema, payload)
        try:
            return await self._processes.run(json_schemas.faults, schema, payload)
        except TimeoutError:
            raise Invalid(
                "Checking the payload by the event type's schema took too long.", loc=("body", "payload")
            ) from None

    def _remember(self, name: tuple[OrgId, str], rule: PayloadRule | None) -> None:
        self._known.pop(name, None)
        if rule is not None:
            self._known[name] = rule
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
