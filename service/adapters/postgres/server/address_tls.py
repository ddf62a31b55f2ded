"""What a database's address says about TLS, and whether the files that it names can be used."""

import os
import ssl
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from service.adapters.postgres.server.address_parameters import MODES, ParameterRefused

SYSTEM = "system"

_TLS = (
    "sslmode",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)


def tls_of(said: Mapping[str, str], *, over_sockets: bool) -> dict[str, str]:
    """The parameters of TLS, with the mode that they imply. ParameterRefused for those that contradict each other."""
    tls = {name: said[name] for name in _TLS if name in said}
    if over_sockets:
        return {"sslmode": "disable"}
    trusted = tls.get("sslrootcert")
    mode = tls.setdefault("sslmode", "verify-full" if trusted == SYSTEM else "prefer")
    strength = MODES.index(mode)
    if trusted == SYSTEM and mode != "verify-full":
        raise ParameterRefused("sslmode", "with sslrootcert=system it has to be verify-full, or be left out")
    for name in ("sslrootcert", "sslcrl"):
        if name in tls and strength < MODES.index("require"):
            raise ParameterRefused(name, f"with sslmode={mode} nobody looks at it; add sslmode=verify-full")
    if "sslcert" in tls and mode == "disable":
        raise ParameterRefused("sslcert", "with sslmode=disable it has no effect; add sslmode=verify-full")
    if tls.get("sslnegotiation") == "direct" and strength < MODES.index("require"):
        raise ParameterRefused("sslnegotiation", "direct needs sslmode=require, verify-ca or verify-full")
    return tls


def refuse_unusable_files(tls: Mapping[str, str], passfile: str | None) -> None:
    """Refuse files that the first connection could not use; it would report that without the file's name.
    ParameterRefused names the parameter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in ("sslrootcert", "sslcrl"):
        if name in tls and tls[name] != SYSTEM:
            _use(name, tls[name], lambda path: context.load_verify_locations(cafile=path))
    if "sslcert" in tls:
        key, password = tls.get("sslkey"), tls.get("sslpassword", "")
        if key is not None:
            _use("sslkey", key, _open)
        _use("sslcert", tls["sslcert"], lambda path: context.load_cert_chain(path, key, lambda: password))
    if passfile is not None:
        _use("passfile", passfile, _open)
        if stat.S_IMODE(Path(passfile).stat().st_mode) & 0o077:
            raise ParameterRefused("passfile", f"others may read {passfile!r}; run chmod 600 on it")


def _use(name: str, path: str, use: Callable[[str], object]) -> None:
    try:
        use(path)
    except ssl.SSLError as error:
        why = (error.reason or "no certificate in it").replace("_", " ").lower()
        raise ParameterRefused(name, f"{path!r} cannot be used: {why}") from None
    except OSError as error:
        raise ParameterRefused(name, f"{path!r} cannot be read: {os.strerror(error.errno or 0)}") from None


def _open(path: str) -> None:
    with Path(path).open("rb"):
        pass
