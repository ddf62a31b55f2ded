"""What is promised beside settings and rights, where it takes effect, and its test: limits, readiness and times."""

from typing import NamedTuple


class Promise(NamedTuple):
    """Where it takes effect: a file, and what stands there for it; and the test."""

    file: str
    named: str
    test: str


_COMMAND = "tests/system/test_command.py::"

LIMITS: dict[str, Promise] = {
    "a request's body": Promise(
        "service/api/app.py",
        "MAX_BODY_BYTES",
        "tests/api/test_problems.py::test_a_large_body_is_refused_in_json",
    ),
    "old secrets of an endpoint": Promise(
        "service/domain/signatures.py",
        "MAX_OLD_SECRETS",
        "tests/api/test_secrets.py::test_the_eleventh_rotation_waits_until_the_first_of_the_old_secrets_has_ended",
    ),
    "grace of an old secret": Promise(
        "service/api/schemas/endpoints.py",
        "MAX_GRACE",
        "tests/api/test_secrets.py::test_grace_is_a_week_at_most",
    ),
    "revocations of an application": Promise(
        "service/application/revocations.py",
        "MAX_REVOCATIONS",
        "tests/api/test_tokens.py::test_who_refreshes_without_end_is_stopped_and_all_can_be_ended_at_once",
    ),
    "tokens that are ended without being listed": Promise(
        "service/application/revocations.py",
        "MAX_REVOCATIONS",
        "tests/api/test_organisation_tokens.py::test_the_tokens_that_are_ended_without_being_listed_are_bounded",
    ),
    "what of an export is read at once": Promise(
        "service/application/streams.py",
        "MAX_PAGE_ITEMS",
        "tests/api/test_exports.py"
        "::test_of_event_types_no_more_is_read_than_the_caller_takes_and_no_connection_is_kept",
    ),
    "values of a body": Promise(
        "service/api/protocol/bodies.py",
        "BodyLimits",
        "tests/api/test_bounds.py::test_a_body_that_cannot_be_read_or_holds_too_much_is_refused_in_a_sentence",
    ),
    "tokens of an organisation": Promise(
        "service/application/tokens.py",
        "MAX_TOKENS",
        "tests/api/test_organisation_tokens.py"
        "::test_an_organisation_has_a_bounded_number_of_them_and_expired_ones_make_room",
    ),
    "feature flags of a token": Promise(
        "service/api/schemas/access.py",
        "MAX_FLAGS_BYTES",
        "tests/api/test_tokens.py::test_flags_that_no_token_could_hold_are_refused",
    ),
    "life of an application's token": Promise(
        "service/adapters/access/tokens.py",
        "APPLICATION_LIFETIME",
        "tests/adapters/test_tokens.py::test_however_often_a_token_is_refreshed_it_ends_four_weeks_after_the_first",
    ),
    "tokens that are remembered": Promise(
        "service/adapters/access/remembered.py",
        "CACHED_CHARACTERS",
        "tests/adapters/test_remembered.py::test_the_oldest_make_room_by_number_and_by_length",
    ),
    "faults of an import that are listed": Promise(
        "service/domain/imports.py",
        "MAX_LISTED_FAULTS",
        "tests/api/test_imports.py::test_of_very_many_broken_lines_the_first_are_listed_and_all_are_counted",
    ),
    "what waits to be accepted": Promise(
        "service/adapters/postgres/queue/intake.py",
        "MAX_QUEUED_MESSAGES",
        "tests/adapters/test_group_commit.py::test_whoever_comes_when_it_is_full_is_turned_away",
    ),
    "bytes of an answer that are kept": Promise(
        "service/adapters/destinations/http/sender.py",
        "MAX_BODY_BYTES",
        "tests/adapters/http/test_sender.py::test_of_a_large_answer_20_000_bytes_are_kept_and_the_status_decides",
    ),
}

_ENDED = "tests/system/test_readiness.py::test_a_server_whose_work_has_ended_is_not_alive"
_SOURCES = "service/runtime/sources.py"
_ENGINE = "service/runtime/engine.py"

READINESS: dict[str, Promise] = {
    "the engine": Promise(_ENGINE, 'depends_on("engine"', _ENDED),
    "ordered destinations": Promise(_ENGINE, 'depends_on("ordered destinations"', _ENDED),
    "background tasks": Promise(_ENGINE, 'depends_on("background tasks"', _ENDED),
    "sources": Promise(_SOURCES, 'depends_on("sources"', _ENDED),
    "the drain of sources": Promise(
        _SOURCES,
        "when_draining(reading.stop)",
        "tests/sources/test_wiring.py::test_a_server_that_is_told_to_leave_takes_no_more_from_sources",
    ),
    "revocations": Promise(
        "service/runtime/services.py",
        'need("revocations"',
        "tests/system/test_revocations.py::test_a_server_that_begins_without_home_is_not_ready_before_it_knows_them",
    ),
    "the database": Promise(
        "service/runtime/core.py",
        "check_database",
        "tests/observability/test_whole.py::test_probes_tell_of_the_database_that_went_away_and_came_back",
    ),
    "startup": Promise(
        "service/runtime/services.py",
        "health.started()",
        "tests/system/test_readiness.py::test_a_server_is_ready_once_all_is_open_and_until_it_is_told_to_leave",
    ),
    "the drain": Promise(
        "service/runtime/roles.py",
        "health.draining",
        "tests/system/test_readiness.py::test_a_server_is_ready_once_all_is_open_and_until_it_is_told_to_leave",
    ),
    "the intake": Promise(
        "service/runtime/resources.py",
        "health.watch_intake(",
        "tests/system/test_full_intake.py::test_a_server_whose_intake_is_full_is_not_ready",
    ),
}

_FORGOTTEN = "tests/adapters/test_forgetting.py::test_what_is_over_is_forgotten_and_what_is_not_stays"
_UPKEEP = "service/adapters/postgres/upkeep.py"

TIMES: dict[str, Promise] = {
    "how long a session lasts": Promise(
        "service/application/console_sessions.py",
        "now + SESSION_LASTS",
        "tests/console/test_sessions.py::test_a_valid_token_becomes_a_session_whose_cookie_scripts_cannot_read",
    ),
    "a WebSocket after its token's end": Promise(
        "service/api/sockets.py",
        "now() + CHECK_INTERVAL_S",
        "tests/api/test_tail_websocket.py::test_a_token_that_is_revoked_meanwhile_closes_the_connection",
    ),
    "how long one family of addresses is waited for": Promise(
        "service/adapters/destinations/http/client.py",
        "happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S",
        "tests/adapters/http/test_ipv6.py::test_a_family_that_says_nothing_costs_a_moment_and_not_the_attempt",
    ),
    "how long one address of a broker is waited for": Promise(
        "service/adapters/destinations/network.py",
        "happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S",
        "tests/adapters/test_dialing.py::test_an_address_that_says_nothing_costs_a_moment_and_not_the_attempt",
    ),
    "how long a token without a name holds": Promise(
        "service/commands/tokens.py",
        "MAX_LIFETIME",
        f"{_COMMAND}test_a_token_is_printed_alone_so_that_a_shell_can_take_it",
    ),
    "how long messages are kept": Promise(
        "service/runtime/core.py",
        "PostgresUpkeep(",
        "tests/system/test_upkeep.py::test_messages_are_kept_for_97_days_and_keys_for_twelve_hours",
    ),
    "how long payloads are kept": Promise(
        _UPKEEP,
        '"remove_payloads": now',
        "tests/adapters/test_payload_expiry.py::test_a_payload_is_removed_when_its_time_is_over_and_the_message_stays",
    ),
    "how long idempotency keys are kept": Promise(_UPKEEP, '"forget_keys": now - KEYS_KEPT', _FORGOTTEN),
    "how long event ids are kept": Promise(_UPKEEP, '"forget_event_ids"', _FORGOTTEN),
    "how long rests are kept": Promise(_UPKEEP, '"forget_rests": now - RESTS_KEPT', _FORGOTTEN),
    "how long throttles are kept": Promise(_UPKEEP, '"forget_throttles": now - THROTTLES_KEPT', _FORGOTTEN),
    "how long statistics are kept": Promise(_UPKEEP, '"forget_hours"', _FORGOTTEN),
    "how long background tasks are kept": Promise(_UPKEEP, '"forget_tasks"', _FORGOTTEN),
    "how long imports are kept": Promise(
        _UPKEEP,
        '"forget_imports"',
        "tests/api/test_imports.py"
        "::test_an_import_is_forgotten_with_its_refused_lines_when_it_is_as_old_as_messages_get",
    ),
    "how long revocations are kept": Promise(
        "service/adapters/postgres/repositories/revocations.py",
        "FORGET(now=now",
        "tests/adapters/test_forgetting.py::test_a_revocation_is_forgotten_when_no_token_that_it_ends_can_hold",
    ),
    "revocations elsewhere": Promise(
        "service/runtime/access.py",
        "REVOCATIONS_REFRESH_INTERVAL",
        "tests/system/test_revocations.py::test_what_is_ended_elsewhere_is_known_after_a_second",
    ),
    "the longest rest": Promise(
        "service/adapters/postgres/queue/settlements.py",
        "MAX_REST",
        "tests/adapters/test_rests.py::test_no_rest_is_longer_than_the_longest_however_many_came_before",
    ),
    "what a tail missed": Promise(
        "service/api/routes/streams.py",
        "came_back=",
        "tests/api/test_streams.py::test_who_comes_back_is_told_of_the_gap",
    ),
}
