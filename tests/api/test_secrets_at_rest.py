"""What a stolen dump of the database tells: everything but the secrets."""

import base64

from httpx import AsyncClient

from service.adapters.postgres.server.database import Database

KEY = b"0123456789-marker-0123456789"
BROUGHT = f"whsec_{base64.b64encode(KEY).decode()}"
HEADERS = {"Authorization": "Bearer marker-of-a-header", "X-Any": "marker-of-any-header"}
OPERATIONAL = "/operational-webhook/endpoint"


async def test_a_dump_of_every_table_holds_no_secret_in_plain(
    application: str, api: AsyncClient, postgres: Database
) -> None:
    endpoint = f"/app/{application}/endpoint"
    for url in (endpoint, OPERATIONAL):
        body = {"url": "http://127.0.0.1/", "uid": "e", "secret": BROUGHT}
        (await api.post(url, json=body, headers={"idempotency-key": url})).raise_for_status()
        (await api.put(f"{url}/e/headers", json={"headers": HEADERS})).raise_for_status()
    given = await api.post("/auth/app-portal-access/u", json={}, headers={"idempotency-key": "a token"})
    made = (await api.post(endpoint, json={"url": "http://127.0.0.1/"})).json()["id"]
    (await api.post(f"{endpoint}/e/secret/rotate", json={})).raise_for_status()
    secrets = [(await api.get(f"{endpoint}/{ref}/secret")).json()["key"] for ref in ("e", made)]

    dump = await _dump(postgres)

    assert "http://127.0.0.1/" in dump  # it is a dump of what was made
    for secret in (BROUGHT, *secrets, given.json()["token"], *HEADERS.values()):
        for written in _spellings(secret):
            assert written not in dump


def _spellings(secret: str) -> list[str]:
    """A text as a dump may show it: as it is, its bytes in hexadecimal, and the same of the key that it encodes."""
    spelt = [secret, secret.encode().hex()]
    if secret.startswith("whsec_"):
        plain = secret.removeprefix("whsec_")
        spelt += [plain, plain.encode().hex(), base64.b64decode(plain).hex()]
    return spelt


async def _dump(database: Database) -> str:
    """Every row of every table as text; bytes are hexadecimal in it."""
    tables = await database.pool.fetch(
        "SELECT quote_ident(relname) AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = 'public' AND relkind = 'r'"
    )
    rows = [
        row["line"]
        for table in tables
        for row in await database.pool.fetch(f"SELECT t::text AS line FROM {table['name']} t")  # of the catalogue
    ]
    return "\n".join(rows)
