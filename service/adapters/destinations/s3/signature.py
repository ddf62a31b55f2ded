"""AWS Signature Version 4 of one request with a body, as Amazon documents it. Pure: the time is an argument."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "s3"


def signed(
    method: str,
    *,
    host: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    access_key_id: str,
    secret_access_key: str,
    region: str,
    at: datetime,
) -> dict[str, str]:
    """All headers of the request, signed. `headers` have names in lower case; `path` is not yet encoded, and has no
    query."""
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    named = {**headers, "host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(sorted(named))
    canonical = "".join(f"{name}:{' '.join(named[name].split())}\n" for name in sorted(named))
    request = "\n".join((method, encoded(path), "", canonical, names, digest))
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = _hmac(_key(secret_access_key, scope), text).hex()
    credential = f"Credential={access_key_id}/{scope}"
    return {**named, "authorization": f"{_ALGORITHM} {credential},SignedHeaders={names},Signature={signature}"}


def encoded(path: str) -> str:
    """The path as it is signed and requested."""
    return quote(path, safe="/-_.~")


def _key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
