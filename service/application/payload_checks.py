"""Validates payloads by the schemas of their event types before they are accepted, and checks schemas themselves.

Rules are cached. The accept statement compares the rule's version, so a stale rule is noticed and a message needs no
query of its own.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from service.application import json_schemas
from service.application.json_schemas import Check
from service.application.ports.intake import PayloadRule, PayloadRules
from service.domain.errors import Invalid
from service.domain.ids import OrgId
from service.domain.messages import NewMessage
from service.offloading.processes import Processes

CACHED_RULES = 4096
# Bytes of payload times values of its schema that are checked on the event loop: 20 ms at worst.
MAX_INLINE_WORK = 1_000_000
# Values of a schema that is compiled on the event loop.
MAX_VALUES = 1_000
# Bytes that are parsed on the event loop: 10 ms at worst.
MAX_INLINE_PAYLOAD_BYTES = 64 * 1024


class PayloadChecks:
    """Makes quick checks on the event loop, and all others in a process with a timeout."""

    def __init__(self, rules: PayloadRules, processes: Processes) -> None:
        self._rules = rules
        self._processes = processes
        self._known: OrderedDict[tuple[OrgId, str], _Known] = OrderedDict()

    async def checked(self, message: NewMessage) -> NewMessage:
        """The message, validated by the cached rule if there is one. Raises Invalid, Busy."""
        known = self._known.get((message.org_id, message.event_type))
        return message if known is None else await self._validated(known, message)

    async def checked_afresh(self, message: NewMessage) -> NewMessage:
        """The same, by the current rule of the database."""
        rule = await self._rules.rule(message.org_id, message.event_type)
        known = self._remembered((message.org_id, message.event_type), rule)
        return replace(message, checked_against=None) if known is None else await self._validated(known, message)

    async def refuse_unusable(self, org_id: OrgId, schemas: Mapping[tuple[str, ...], str | None]) -> None:
        """Raises Invalid if one of the schemas is not valid. Raises Busy."""
        written = {field: versions for field, versions in schemas.items() if versions is not None}
        if not written:
            return
        try:
            faults = await self._unusable(org_id, list(written.values()))
        except TimeoutError:
            raise Invalid("Checking the schemas took too long. Make them simpler.", field=next(iter(written))) from None
        for field, fault in zip(written, faults, strict=True):
            if fault is not None:
                raise Invalid(fault, field=field)

    async def _unusable(self, org_id: OrgId, schemas: list[str]) -> list[str | None]:
        if len(schemas) == 1 and json_schemas.is_quick(schemas[0]):
            return json_schemas.unusable(schemas)
        return await self._processes.run(json_schemas.unusable, schemas, tenant=org_id)

    async def _validated(self, known: "_Known", message: NewMessage) -> NewMessage:
        faults = await self._faults(known, message)
        if faults:
            # The cached rule may be stale: only the current rule may refuse a payload.
            if await self._rules.rule(message.org_id, message.event_type) != known.rule:
                return message
            raise json_schemas.refused(faults)
        return replace(message, checked_against=known.rule.version)

    async def _faults(self, known: "_Known", message: NewMessage) -> list[str]:
        schema = known.rule.schema
        if schema is None:
            return []
        if known.is_cheap(message.payload):
            return known.faults(schema, message.payload)
        try:
            return await self._processes.run(json_schemas.faults, schema, message.payload, tenant=message.org_id)
        except TimeoutError:
            raise Invalid(
                "Checking the payload by the event type's schema took too long.", field=("payload",)
            ) from None

    def _remembered(self, name: tuple[OrgId, str], rule: PayloadRule | None) -> "_Known | None":
        self._known.pop(name, None)
        if rule is None:
            return None
        self._known[name] = _Known(rule)
        if len(self._known) > CACHED_RULES:
            self._known.popitem(last=False)
        return self._known[name]


def is_cheap_to_check(weight: float, payload: bytes) -> bool:
    """Whether the check is quick enough for the event loop: little work, and nothing that can be made slow on
    purpose."""
    return (
        weight <= MAX_VALUES and len(payload) <= MAX_INLINE_PAYLOAD_BYTES and weight * len(payload) <= MAX_INLINE_WORK
    )


class _Known:
    """A cached rule, the work that it makes, and its validator, compiled at first use."""

    def __init__(self, rule: PayloadRule) -> None:
        self.rule = rule
        self._weight = json_schemas.weight(rule.schema)
        self._check: Check | None = None

    def is_cheap(self, payload: bytes) -> bool:
        """Whether the payload may be checked on the event loop."""
        return is_cheap_to_check(self._weight, payload)

    def faults(self, schema: bytes, payload: bytes) -> list[str]:
        """The faults of the payload."""
        self._check = self._check or json_schemas.checking(schema)
        return self._check(payload)
