"""What is promised, where it takes effect, and the test that fails when it is ignored there.

The tables are checked against what can be set, and against the tests that there are: a setting without a row fails.
"""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from service.application.access import EVERY_CAPABILITY
from service.domain.tokens import ROLES
from service.settings import Settings
from tests.api.rights import RIGHTS
from tests.promises import LIMITS, READINESS, TIMES, Promise

ROOT = Path(__file__).parent.parent
_WIRED = "tests/system/test_settings_take_effect.py::"
_COMMAND = "tests/system/test_command.py::"
_DATABASES = "tests/system/test_databases.py::"
_OF_ITS_OWN = f"{_WIRED}test_a_server_of_its_own_is_where_it_was_told_and_as_quiet"
_ISSUER = f"{_WIRED}test_tokens_of_the_issuer_are_read_by_the_claims_that_were_named"
_SIGN_IN = f"{_WIRED}test_people_sign_in_at_the_issuer_whose_client_relevo_is"
_KEYS = f"{_WIRED}test_the_first_of_the_secret_keys_encrypts_and_all_decrypt"

SETTINGS: dict[str, Promise] = {
    "RELEVO_HOST": Promise("service/runtime/listening.py", "server.host", _OF_ITS_OWN),
    "RELEVO_PORT": Promise("service/runtime/listening.py", "server.port", _OF_ITS_OWN),
    "RELEVO_OPS_PORT": Promise("service/runtime/listening.py", "ops_port", _OF_ITS_OWN),
    "RELEVO_PROCESSES": Promise(
        "service/commands/roles.py",
        "server.processes",
        "tests/system/test_processes.py::test_two_processes_share_port_and_database_and_are_one_to_operators",
    ),
    "RELEVO_CORS_ORIGINS": Promise(
        "service/runtime/roles.py", "cors_origins", f"{_WIRED}test_pages_of_the_origins_that_were_named_may_call"
    ),
    "RELEVO_PUBLIC_URL": Promise(
        "service/runtime/roles.py", "public_url", f"{_WIRED}test_links_begin_with_the_public_url"
    ),
    "RELEVO_PORTAL_ANCESTORS": Promise(
        "service/runtime/roles.py",
        "portal_ancestors",
        f"{_WIRED}test_the_portal_may_be_embedded_by_pages_of_the_origins_that_were_named",
    ),
    "RELEVO_OIDC_ISSUER": Promise("service/runtime/access.py", "oidc.issuer", _ISSUER),
    "RELEVO_OIDC_AUDIENCE": Promise("service/runtime/access.py", "oidc.audience", _ISSUER),
    "RELEVO_OIDC_ORG_CLAIM": Promise("service/runtime/access.py", "oidc.org_claim", _ISSUER),
    "RELEVO_OIDC_ROLE_CLAIM": Promise("service/runtime/access.py", "oidc.role_claim", _ISSUER),
    "RELEVO_OIDC_CLIENT_ID": Promise("service/runtime/access.py", "oidc.client_id", _SIGN_IN),
    "RELEVO_OIDC_CLIENT_SECRET": Promise("service/runtime/access.py", "oidc.client_secret", _SIGN_IN),
    "RELEVO_DATA_DIR": Promise(
        "service/runtime/database.py",
        "data_dir",
        f"{_COMMAND}test_with_no_settings_a_server_runs_and_a_second_one_is_told_who_is_first",
    ),
    "RELEVO_AUDIT_DAYS": Promise(
        "service/runtime/core.py", "audit_days", f"{_WIRED}test_audit_days_is_how_long_the_trail_is_kept"
    ),
    "RELEVO_DATABASE_URL": Promise("service/runtime/database.py", "database_url", _OF_ITS_OWN),
    "RELEVO_DATABASE_DIRECT_URL": Promise(
        "service/runtime/database.py",
        "database_direct_url",
        f"{_WIRED}test_what_a_pooler_cannot_carry_goes_to_the_direct_address",
    ),
    "RELEVO_DATABASES": Promise(
        "service/runtime/database.py",
        "storage.databases",
        f"{_DATABASES}test_new_organisations_live_where_the_fewest_do_and_all_that_is_theirs_is_there",
    ),
    "RELEVO_SERVES": Promise(
        "service/runtime/database.py",
        "storage.serves",
        f"{_DATABASES}test_a_worker_delivers_for_all_or_for_those_that_it_was_told",
    ),
    "RELEVO_JWT_SECRET": Promise(
        "service/runtime/resources.py", "jwt_secret()", f"{_WIRED}test_the_jwt_secret_decides_whose_tokens_hold"
    ),
    "RELEVO_SECRET_KEY": Promise("service/runtime/core.py", "secret_keys()", _KEYS),
    "RELEVO_SECRET_KEYS": Promise("service/runtime/core.py", "secret_keys()", _KEYS),
    "RELEVO_RETRY_SCHEDULE": Promise(
        "service/runtime/destinations.py", "retry_schedule", f"{_WIRED}test_the_retry_schedule_says_how_often_and_when"
    ),
    "RELEVO_ATTEMPT_TIMEOUT": Promise(
        "service/runtime/engine.py",
        "attempt_timeout",
        f"{_WIRED}test_the_attempt_timeout_ends_attempts_and_examples",
    ),
    "RELEVO_LEASE_MARGIN": Promise(
        "service/runtime/engine.py", "lease_margin", f"{_WIRED}test_a_lease_outlasts_the_attempt_by_its_margin"
    ),
    "RELEVO_DRAIN": Promise(
        "service/runtime/engine.py",
        "delivery.drain",
        f"{_WIRED}test_the_drain_is_how_long_attempts_may_take_to_finish",
    ),
    "RELEVO_DISABLE_AFTER": Promise(
        "service/runtime/engine.py", "disable_after", f"{_WIRED}test_an_endpoint_is_disabled_after_that_long"
    ),
    "RELEVO_SIGNATURE_HEADERS": Promise(
        "service/runtime/destinations.py",
        "signature_headers",
        f"{_WIRED}test_signature_headers_are_of_the_families_that_were_named",
    ),
    "RELEVO_EGRESS_ALLOW": Promise(
        "service/runtime/core.py",
        "egress_allow",
        f"{_WIRED}test_private_networks_are_called_only_when_that_is_allowed",
    ),
    "RELEVO_CONCURRENCY": Promise(
        "service/runtime/engine.py", "delivery.concurrency", f"{_WIRED}test_attempts_at_once_are_bounded"
    ),
    "RELEVO_PER_ENDPOINT": Promise(
        "service/runtime/engine.py", "per_endpoint", f"{_WIRED}test_attempts_at_once_are_bounded"
    ),
    "RELEVO_ENDPOINT_HTTPS_ONLY": Promise(
        "service/runtime/resources.py", "https_only", f"{_WIRED}test_https_only_refuses_other_endpoints"
    ),
    "RELEVO_LOG_LEVEL": Promise("service/runtime/telemetry.py", "log_level", _OF_ITS_OWN),
    "RELEVO_TRACE_URL": Promise(
        "service/runtime/resources.py", "trace_url", f"{_WIRED}test_the_trace_url_shows_an_attempts_trace"
    ),
    "RELEVO_LOGS_URL": Promise(
        "service/runtime/resources.py", "logs_url", f"{_WIRED}test_the_logs_url_leads_from_an_attempt_to_its_lines"
    ),
    "RELEVO_ADMIN_TOKEN": Promise("service/runtime/telemetry.py", "admin_token", _OF_ITS_OWN),
}

_DESTINATIONS = "service/runtime/destinations.py"
_ORDERED = "tests/system/test_ordered_settings.py::"
_TIMEOUT_AND_SCHEDULE = (
    f"{_ORDERED}test_a_batch_takes_no_longer_than_the_attempt_timeout_and_comes_again_as_the_schedule_says"
)
# Of settings that take effect in several places, the others.
ELSEWHERE: dict[str, Promise] = {
    "RELEVO_EGRESS_ALLOW of sources": Promise(
        "service/runtime/sources.py",
        "Dialer(core.egress, resolver",
        "tests/sources/test_wiring.py::test_a_source_calls_nothing_that_the_settings_do_not_allow",
    ),
    "RELEVO_SIGNATURE_HEADERS of batches": Promise(
        _DESTINATIONS,
        "FifoSender(http, signing=_signing(settings)",
        f"{_ORDERED}test_signature_headers_of_batches_are_of_the_families_that_were_named",
    ),
    "RELEVO_ATTEMPT_TIMEOUT of batches": Promise(
        _DESTINATIONS, "timeout = settings.delivery.attempt_timeout", _TIMEOUT_AND_SCHEDULE
    ),
    "RELEVO_RETRY_SCHEDULE of batches": Promise(_DESTINATIONS, "schedule=_schedule(settings)", _TIMEOUT_AND_SCHEDULE),
    "RELEVO_DISABLE_AFTER of ordered destinations": Promise(
        _DESTINATIONS, "disable_after", f"{_ORDERED}test_an_ordered_destination_is_disabled_after_that_long"
    ),
    "RELEVO_DRAIN of requests": Promise(
        "service/runtime/roles.py",
        "grace=ceil(settings.delivery.drain)",
        "tests/system/test_shutdown.py::test_what_could_not_be_finished_in_time_is_given_back_at_once",
    ),
    "RELEVO_CONCURRENCY of one of several databases": Promise(
        "service/runtime/engine.py",
        "delivery.concurrency // max(1, len(served(settings)))",
        "tests/adapters/test_engine_wiring.py::test_there_are_no_more_attempts_at_once_than_the_settings_say",
    ),
    "RELEVO_LOG_LEVEL of the parent of several processes": Promise(
        "service/supervision/supervising.py",
        "log_level",
        "tests/system/test_processes.py::test_processes_that_cannot_start_say_why_and_end_their_parent",
    ),
    "RELEVO_DATABASE_DIRECT_URL of a migration": Promise(
        "service/runtime/database.py",
        "schema.migrate(urls.direct)",
        f"{_COMMAND}test_a_server_asks_for_the_migration_that_is_missing",
    ),
    "RELEVO_DATABASE_DIRECT_URL of a new key": Promise(
        "service/runtime/database.py",
        "connect(urls.direct)",
        f"{_COMMAND}test_a_new_key_takes_over_and_a_missing_one_is_told",
    ),
    "RELEVO_DRAIN of batches": Promise(
        "service/runtime/engine.py",
        "delivery.drain",
        f"{_ORDERED}test_the_drain_is_how_long_batches_may_take_to_finish",
    ),
}

_ROLES = "tests/api/test_rights.py::test_an_organisations_token_may_do_what_its_role_allows"
_CAPABILITIES = "tests/api/test_rights.py::test_an_applications_token_may_do_what_its_capabilities_open"
_RIGHTS = "service/api/permissions.py"

WHO_MAY_WHAT: dict[str, Promise] = {
    "reader": Promise(_RIGHTS, '"reader"', _ROLES),
    "writer": Promise(_RIGHTS, '"writer"', _ROLES),
    "admin": Promise(_RIGHTS, '"admin"', _ROLES),
    "ViewBase": Promise(_RIGHTS, "ViewBase", _CAPABILITIES),
    "ViewEndpointSecret": Promise(_RIGHTS, "ViewEndpointSecret", _CAPABILITIES),
    "ManageEndpointSecret": Promise(_RIGHTS, "ManageEndpointSecret", _CAPABILITIES),
    "CreateAttempts": Promise(_RIGHTS, "CreateAttempts", _CAPABILITIES),
    "ManageEndpoint": Promise(_RIGHTS, "ManageEndpoint", _CAPABILITIES),
}
# Relevo runs no tenant's code yet, so there is nothing that this one would open.
OPENS_NOTHING = {"ManageTransformations"}

EVERY = {**SETTINGS, **ELSEWHERE, **WHO_MAY_WHAT, **LIMITS, **READINESS, **TIMES}


def test_every_setting_has_its_row() -> None:
    assert sorted(SETTINGS) == sorted(row.variable for row in Settings.describe())
    assert {place.partition(" ")[0] for place in ELSEWHERE} <= SETTINGS.keys()


def test_every_role_and_capability_has_its_row_and_opens_something() -> None:
    opened = {capability for _, capabilities in RIGHTS.values() for capability in capabilities or ()}

    assert WHO_MAY_WHAT.keys() | OPENS_NOTHING == {*ROLES, *EVERY_CAPABILITY}
    assert {role for role, _ in RIGHTS.values() if role} == set(ROLES)
    assert opened == EVERY_CAPABILITY


@pytest.mark.parametrize("promise", EVERY)
def test_what_is_promised_is_named_where_it_takes_effect_and_has_its_test(promise: str) -> None:
    file, named, test = EVERY[promise]
    module, _, function = test.partition("::")

    assert named in (ROOT / file).read_text()
    assert function in named_in(ROOT / module)


@cache
def named_in(module: Path) -> frozenset[str]:
    """The names of a module's tests."""
    return frozenset(_functions(ast.parse(module.read_text()).body))


def _functions(statements: Iterable[ast.stmt]) -> Iterable[str]:
    return (statement.name for statement in statements if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef))
