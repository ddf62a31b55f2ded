"""The payload that is sent: an invoice of 25 fields in 1 KB; a larger one has more positions."""

import json
from typing import Any

PAYLOAD_BYTES = 1024
_POSITION = {"sku": "chair-oak-4", "text": "Chair, oak", "quantity": 4, "price": {"amount": 129.9, "currency": "EUR"}}


def written(size: int = PAYLOAD_BYTES, *, at: str = "2026-03-01T09:30:00Z") -> str:
    """JSON of that many bytes; `at` is its field of that name."""
    return json.dumps(invoice(size, at=at))


def invoice(size: int = PAYLOAD_BYTES, *, at: str = "2026-03-01T09:30:00Z") -> dict[str, Any]:
    """The invoice that is written in that many bytes."""
    said = _invoice(at)
    more = max(0, size - PAYLOAD_BYTES) // len(json.dumps(_POSITION) + ", ")
    said["positions"] += [_POSITION] * more
    said["note"] = "x" * (size - len(json.dumps(said)))
    return said


def _invoice(at: str) -> dict[str, Any]:
    address = {"street": "1 High Street", "city": "Springfield", "zip": "12345", "country": "US"}
    return {
        "at": at,
        "id": "inv_00042",
        "number": 42,
        "paid": True,
        "due": None,
        "total": 649.5,
        "tax": {"rate": 0.19, "amount": 103.7},
        "customer": {"id": "cus_7", "name": "Jörg Müller", "email": "joerg@example.com", "address": address},
        "currency": "EUR",
        "reference": "order 2026-118",
        "tags": ["retail", "spring"],
        "positions": [_POSITION],
        "note": "",
    }
