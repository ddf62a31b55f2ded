"""`relevo token`: prints a token for the API."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service.commands.streams import say
from service.domain.limits import MAX_NAME_CHARACTERS
from service.domain.tokens import DEFAULT_LIFETIME, MAX_LIFETIME, MIN_LIFETIME, ROLES, is_token_name

if TYPE_CHECKING:
    from service.domain.ids import OrgId

_MAX_DIGITS = 9  # digits of a time


def take_arguments(parser: ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("org_id", nargs="?", help="the organisation it speaks for (default: the one that is built in)")
    parser.add_argument("--role", choices=ROLES, default="admin", help="what it may do (default: %(default)s)")
    parser.add_argument("--expires", type=_lifetime, metavar="90d", help="when it ends, in days, hours or minutes")
    parser.add_argument(
        "--name", type=_token_name, help="keep it in the list at /api/v1/auth/token, where it can be revoked"
    )
    parser.epilog = (
        "Without a name the token is in no list, and holds for ten years unless --expires says otherwise; "
        f"with one, for {DEFAULT_LIFETIME.days} days. "
        "Either is ended by DELETE /api/v1/auth/token/{tokenId}; the audit trail shows the "
        "`tokenId`, and this command at a terminal."
    )


def token(chosen: Namespace) -> int:
    """Print a token. With a name it is also listed in the database."""
    from service.commands.execution import OK, CommandUnusable, waits
    from service.domain import ids
    from service.runtime.configuration import configured_for_tokens
    from service.runtime.tokens import DEFAULT_ORGANISATION, digest_of, mint

    org_id = chosen.org_id or DEFAULT_ORGANISATION
    if not ids.is_organisation(org_id):
        raise CommandUnusable(no_organisation(org_id))
    settings = configured_for_tokens(os.environ)
    if chosen.name is not None:
        return _listed(chosen, ids.OrgId(org_id))
    lifetime = chosen.expires or MAX_LIFETIME
    made = mint(settings, ids.OrgId(org_id), now=datetime.now(UTC), role=chosen.role, lifetime=lifetime)
    waits(f"its tokenId, by which it can be revoked, is {digest_of(made)}")
    say(made)
    return OK


def no_organisation(text: str) -> str:
    """What is wrong with the name of an organisation that is none."""
    from service.domain.ids import ORGANISATION

    return f"{text!r} is not an organisation: it has to be {ORGANISATION} and letters, digits, `-`, `_` or `.`."


def _listed(chosen: Namespace, org_id: "OrgId") -> int:
    from service.application.tokens import NewToken
    from service.commands.execution import run, waits
    from service.runtime.configuration import configured
    from service.runtime.database import fitting_database
    from service.runtime.tokens import make_listed_token

    settings = configured(os.environ)
    new = NewToken(name=chosen.name, role=chosen.role, lifetime=chosen.expires or DEFAULT_LIFETIME)

    async def work() -> None:
        async with fitting_database(settings, tell=waits) as urls:
            made = await make_listed_token(settings, urls, org_id, new)
        say(made)

    return run(work)


def _lifetime(text: str) -> timedelta:
    """Parse `90d`, `12h` or `90m`."""
    amount, unit = text[:-1], {"d": "days", "h": "hours", "m": "minutes"}.get(text[-1:])
    if unit is None or not (amount.isascii() and amount.isdigit() and len(amount) < _MAX_DIGITS):
        raise ArgumentTypeError(f"{text!r} is no time: write 90d, 12h or 90m")
    lifetime = timedelta(**{unit: int(amount)})
    if not MIN_LIFETIME <= lifetime <= MAX_LIFETIME:
        raise ArgumentTypeError(f"a token is valid for 1h at least and for {MAX_LIFETIME.days}d at most")
    return lifetime


def _token_name(text: str) -> str:
    if not is_token_name(text):
        raise ArgumentTypeError(f"a name has 1 to {MAX_NAME_CHARACTERS} characters, and none that controls a terminal")
    return text
