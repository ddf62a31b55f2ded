"""Settings: what the environment may say, and how a mistake in it is told."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.environment import unknown
from service.settings import Settings, SettingsError, configuration_table

SECRET = "thirty-two characters at the least"


def test_nothing_has_to_be_set() -> None:
    settings = Settings.from_environment({})

    assert settings == Settings()
    assert settings.embedded
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)
    minute, hour = 60, 3600
    assert settings.delivery.retry_schedule == (
        5,
        5 * minute,
        30 * minute,
        2 * hour,
        5 * hour,
        10 * hour,
        10 * hour,
    )
    assert settings.delivery.attempt_timeout == 15
    assert settings.delivery.disable_after == timedelta(days=5).total_seconds()


def test_every_setting_is_read_from_its_variable() -> None:
    given = {
        "RELEVO_HOST": "0.0.0.0",
        "RELEVO_PORT": "9000",
        "RELEVO_OPS_PORT": "9464",
        "RELEVO_PROCESSES": "auto",
        "RELEVO_CORS_ORIGINS": "https://a.example.com, https://b.example.com",
        "RELEVO_PUBLIC_URL": "https://relevo.example.com/",
        "RELEVO_PORTAL_ANCESTORS": "https://app.example.com, http://localhost:3000",
        "RELEVO_OIDC_ISSUER": "https://login.example.com",
        "RELEVO_OIDC_AUDIENCE": "relevo",
        "RELEVO_OIDC_ORG_CLAIM": "org_id",
        "RELEVO_OIDC_ROLE_CLAIM": "roles",
        "RELEVO_OIDC_CLIENT_ID": "console",
        "RELEVO_OIDC_CLIENT_SECRET": "short",
        "RELEVO_DATA_DIR": "/data",
        "RELEVO_AUDIT_DAYS": "30",
        "RELEVO_DATABASE_URL": "postgresql://relevo@pgbouncer/relevo",
        "RELEVO_DATABASE_DIRECT_URL": "postgresql://relevo@db/relevo",
        "RELEVO_JWT_SECRET": SECRET,
        "RELEVO_SECRET_KEYS": f"{SECRET}-new, {SECRET}-old",
        "RELEVO_RETRY_SCHEDULE": "[0.5, 300]",
        "RELEVO_ATTEMPT_TIMEOUT": "3",
        "RELEVO_LEASE_MARGIN": "4",
        "RELEVO_DRAIN": "7",
        "RELEVO_DISABLE_AFTER": "60",
        "RELEVO_SIGNATURE_HEADERS": "svix",
        "RELEVO_EGRESS_ALLOW": "127.0.0.0/8, fd00::/8",
        "RELEVO_CONCURRENCY": "12",
        "RELEVO_PER_ENDPOINT": "3",
        "RELEVO_ENDPOINT_HTTPS_ONLY": "true",
        "RELEVO_LOG_LEVEL": "DEBUG",
        "RELEVO_TRACE_URL": "https://jaeger.example.com/trace/{trace_id}",
        "RELEVO_LOGS_URL": "https://logs.example.com/?q={trace_id}",
        "RELEVO_ADMIN_TOKEN": SECRET,
    }

    settings = Settings.from_environment(given)

    instead = {"RELEVO_SECRET_KEY", "RELEVO_DATABASES", "RELEVO_SERVES"}
    assert given.keys() | instead == {row.variable for row in Settings.describe()}
    assert settings.server.model_dump() == {
        "host": "0.0.0.0",
        "processes": "auto",
        "port": 9000,
        "ops_port": 9464,
        "cors_origins": ("https://a.example.com", "https://b.example.com"),
        "public_url": "https://relevo.example.com",
        "portal_ancestors": ("https://app.example.com", "http://localhost:3000"),
    }
    assert settings.oidc.model_dump() == {
        "issuer": "https://login.example.com",
        "audience": "relevo",
        "org_claim": "org_id",
        "role_claim": "roles",
        "client_id": "console",
        "client_secret": SecretStr("short"),
    }
    assert settings.storage.data_dir == Path("/data")
    assert settings.storage.audit_days == 30
    assert not settings.embedded
    direct = settings.storage.database_direct_url
    assert direct is not None
    assert direct.get_secret_value() == "postgresql://relevo@db/relevo"
    assert settings.jwt_secret() == SECRET
    assert settings.secret_keys() == (f"{SECRET}-new", f"{SECRET}-old")
    assert settings.delivery.model_dump() == {
        "retry_schedule": (0.5, 300),
        "attempt_timeout": 3,
        "lease_margin": 4,
        "drain": 7,
        "disable_after": 60,
        "signature_headers": ("svix",),
        "egress_allow": (ip_network("127.0.0.0/8"), ip_network("fd00::/8")),
        "concurrency": 12,
        "per_endpoint": 3,
    }
    assert settings.endpoints.https_only
    assert settings.observability.log_level == "debug"
    assert settings.observability.logs_url == "https://logs.example.com/?q={trace_id}"
    assert settings.observability.trace_url == "https://jaeger.example.com/trace/{trace_id}"
    assert settings.observability.admin_token is not None
    assert settings.observability.admin_token.get_secret_value() == SECRET


def test_an_empty_variable_is_not_set() -> None:
    assert Settings.from_environment({"RELEVO_PORT": "", "RELEVO_DATABASE_URL": " "}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("RELEVO_PORT", "web", "valid integer"),
        ("RELEVO_PORT", "65536", "less than or equal to 65535"),
        ("RELEVO_OIDC_ISSUER", "login.example.com", "an issuer is a URL"),
        ("RELEVO_OIDC_CLIENT_ID", "console", "it needs the issuer whose client it is, in RELEVO_OIDC_ISSUER"),
        ("RELEVO_OIDC_CLIENT_SECRET", "s", "it needs the client whose secret it is, in RELEVO_OIDC_CLIENT_ID"),
        ("RELEVO_PORTAL_ANCESTORS", "app.example.com", "an origin that may embed it is"),
        ("RELEVO_DATABASE_URL", "mysql://db/relevo", "it has to be an address of PostgreSQL"),
        ("RELEVO_DATABASE_DIRECT_URL", "postgresql://db/relevo", "RELEVO_DATABASE_URL, which has to be set"),
        ("RELEVO_JWT_SECRET", "short", "at least 32 characters"),
        ("RELEVO_SECRET_KEY", "short", "at least 32 characters"),
        ("RELEVO_SECRET_KEY", f"{SECRET},{SECRET}", "several go into RELEVO_SECRET_KEYS"),
        ("RELEVO_SECRET_KEYS", f"{SECRET},", "at least 32 characters"),
        ("RELEVO_SECRET_KEYS", f'["{SECRET}"', "not a JSON list"),
        ("RELEVO_SECRET_KEYS", f'["{SECRET}", "short"]', "at least 32 characters"),
        ("RELEVO_RETRY_SCHEDULE", "5,300", "not a JSON list"),
        ("RELEVO_RETRY_SCHEDULE", "5", "not a JSON list"),
        ("RELEVO_RETRY_SCHEDULE", "[5, 0]", "item 2: input should be greater than 0"),
        ("RELEVO_RETRY_SCHEDULE", "[NaN]", "finite number"),
        ("RELEVO_RETRY_SCHEDULE", "[1, true]", "item 2: input should be a valid number"),
        ("RELEVO_RETRY_SCHEDULE", '["5"]', "item 1: input should be a valid number"),
        ("RELEVO_ATTEMPT_TIMEOUT", "0", "greater than 0"),
        ("RELEVO_ATTEMPT_TIMEOUT", "nan", "finite number"),
        ("RELEVO_DISABLE_AFTER", "-1", "greater than 0"),
        ("RELEVO_SIGNATURE_HEADERS", "stripe", "'webhook' or 'svix'"),
        ("RELEVO_SIGNATURE_HEADERS", ",", "at least 1 item"),
        ("RELEVO_EGRESS_ALLOW", "127.0.0.1/8", "has host bits set"),
        ("RELEVO_EGRESS_ALLOW", "10.0.0.0/8,localhost", "'localhost' does not appear to be"),
        ("RELEVO_CONCURRENCY", "0", "greater than or equal to 1"),
        ("RELEVO_ENDPOINT_HTTPS_ONLY", "perhaps", "valid boolean"),
        ("RELEVO_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_value_is_refused_with_its_variable_its_fault_and_an_example(
    variable: str, value: str, fault: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({variable: value})

    assert str(refused.value).startswith(variable)
    assert fault in str(refused.value)
    assert "Example: " in str(refused.value)


def test_every_bad_value_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({"RELEVO_PORT": "web", "RELEVO_LOG_LEVEL": "loud"})

    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == ["RELEVO_PORT", "RELEVO_LOG_LEVEL"]


@pytest.mark.parametrize("variable", ["RELEVO_JWT_SECRET", "RELEVO_SECRET_KEY"])
def test_a_missing_secret_says_what_to_set(variable: str) -> None:
    given = {"RELEVO_JWT_SECRET": SECRET, "RELEVO_SECRET_KEY": SECRET}
    settings = Settings.from_environment({**given, variable: ""})

    with pytest.raises(SettingsError, match=rf"{variable} is not set.*Set it to"):
        (settings.jwt_secret(), settings.secret_keys())


@pytest.mark.parametrize("written", [f"{SECRET}-new,{SECRET}-old", f'["{SECRET}-new", "{SECRET}-old"]'])
def test_keys_are_listed_by_commas_or_as_json(written: str) -> None:
    settings = Settings.from_environment({"RELEVO_SECRET_KEYS": written})

    assert settings.secret_keys() == (f"{SECRET}-new", f"{SECRET}-old")


def test_one_key_and_several_may_both_be_set_when_they_agree() -> None:
    settings = Settings.from_environment({"RELEVO_SECRET_KEY": SECRET, "RELEVO_SECRET_KEYS": f"{SECRET}, {SECRET}-old"})

    assert settings.secret_keys() == (SECRET, f"{SECRET}-old")


def test_one_key_and_several_that_disagree_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^RELEVO_SECRET_KEYS: its first key is not the one that"):
        Settings.from_environment({"RELEVO_SECRET_KEY": SECRET, "RELEVO_SECRET_KEYS": f"{SECRET}-new,{SECRET}"})


def test_several_databases_are_named_and_the_first_is_home() -> None:
    given = {
        "RELEVO_DATABASES": '{"eu-1": "postgresql://u:hush@a/r", "eu-2": {"url": "postgresql://b/r", "direct_url": "postgresql://c/r"}}',
        "RELEVO_SERVES": "eu-2, eu-1",
    }

    settings = Settings.from_environment(given)

    first, second = settings.storage.databases
    assert (first.name, first.url.get_secret_value(), first.direct_url) == ("eu-1", "postgresql://u:hush@a/r", None)
    assert second.direct_url is not None
    assert second.direct_url.get_secret_value() == "postgresql://c/r"
    assert settings.storage.serves == ("eu-2", "eu-1")
    assert (settings.embedded, settings.several) == (False, True)
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"RELEVO_DATABASES": "[]"}, "not a JSON object"),
        ({"RELEVO_DATABASES": "{}"}, "names no database"),
        ({"RELEVO_DATABASES": '{"a": "postgresql://h/d", "a": "postgresql://h/e"}'}, "a name twice"),
        ({"RELEVO_DATABASES": '{"a": "postgresql://h/d", "b": "postgresql://h/d"}'}, "two names have the same address"),
        ({"RELEVO_DATABASES": '{"EU": "postgresql://h/d"}'}, "item 1: a database's name has at most 32 small letters"),
        ({"RELEVO_DATABASES": '{"eu": "mysql://h/d"}'}, "item 1: it has to be an address of PostgreSQL"),
        ({"RELEVO_DATABASES": '{"eu": {"direct_url": "postgresql://h/d"}}'}, "item 1: field required"),
        (
            {"RELEVO_DATABASES": '{"eu": "postgresql://h/d"}', "RELEVO_DATABASE_URL": "postgresql://h/d"},
            "it is set instead of RELEVO_DATABASE_URL",
        ),
        ({"RELEVO_DATABASES": '{"eu": "postgresql://h/d"}', "RELEVO_SERVES": "us"}, "a name of RELEVO_DATABASES"),
        ({"RELEVO_SERVES": "eu"}, "a name of RELEVO_DATABASES"),
    ],
)
def test_databases_that_cannot_be_meant_are_told(given: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        Settings.from_environment(given)


def test_secrets_are_never_shown() -> None:
    settings = Settings.from_environment(
        {"RELEVO_JWT_SECRET": SECRET, "RELEVO_SECRET_KEY": SECRET, "RELEVO_DATABASE_URL": "postgresql://u:hush@db/r"}
    )

    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({"RELEVO_SECRET_KEY": "hush", "RELEVO_DATABASE_URL": "mysql://u:hush@db/r"})

    for text in (repr(settings), str(settings), str(refused.value)):
        assert SECRET not in text
        assert "hush" not in text


def test_generated_secrets_stand_in_only_where_none_was_set() -> None:
    settings = Settings.from_environment({"RELEVO_JWT_SECRET": SECRET})

    completed = settings.with_secrets(jwt_secret="g" * 40, secret_key="k" * 40)

    assert completed.jwt_secret() == SECRET
    assert completed.secret_keys() == ("k" * 40,)
    assert not completed.lacks_secrets


def test_no_key_is_generated_where_several_were_set() -> None:
    settings = Settings.from_environment({"RELEVO_SECRET_KEYS": SECRET})

    completed = settings.with_secrets(jwt_secret="g" * 40, secret_key="k" * 40)

    assert completed.secret_keys() == (SECRET,)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().server.port = 1  # type: ignore[misc]  # that it cannot be done is the point


def test_an_unknown_variable_is_told_with_the_nearest_name() -> None:
    sentences = unknown({"RELEVO_RETRY_SHEDULE": "[1]", "RELEVO_XYZZY": "1", "PATH": "/bin"}, Settings)

    assert sentences == [
        "RELEVO_RETRY_SHEDULE is not a setting of Relevo and changes nothing. Did you mean RELEVO_RETRY_SCHEDULE?",
        "RELEVO_XYZZY is not a setting of Relevo and changes nothing.",
    ]


def test_every_variable_is_described() -> None:
    assert all(row.meaning.endswith(".") and row.default for row in Settings.describe())


def test_the_manual_lists_every_setting_with_its_default() -> None:
    manual = Path(__file__).parent.parent.joinpath("deploy", "configuration.md").read_text()

    listed = manual.split("<!-- configuration -->")[1].split("<!-- /configuration -->")[0].strip()

    assert listed == configuration_table()


def test_an_issuer_is_not_trusted_with_tokens_that_are_meant_for_others() -> None:
    with pytest.raises(SettingsError, match=r"^RELEVO_OIDC_AUDIENCE: .* it has to be set"):
        Settings.from_environment({"RELEVO_OIDC_ISSUER": "https://login.example.com"})
