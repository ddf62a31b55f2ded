"""Who is let in, and the secrets that this takes."""

from typing import Annotated

from pydantic import BeforeValidator, SecretStr, ValidationInfo, field_validator

from service.environment import Variable
from service.settings.values import Group, is_web_address, keys, refuse_short_secret


class Oidc(Group):
    """The OpenID Connect issuer whose tokens are accepted besides our own."""

    issuer: Annotated[
        str | None,
        Variable(
            "RELEVO_OIDC_ISSUER",
            "OpenID Connect issuer whose tokens (RS256, ES256, EdDSA) are taken besides our own.",
            example="https://login.example.com/realms/main",
        ),
    ] = None
    audience: Annotated[
        str | None,
        Variable(
            "RELEVO_OIDC_AUDIENCE", "What such a token's `aud` has to name; required with an issuer.", example="relevo"
        ),
    ] = None
    org_claim: Annotated[
        str, Variable("RELEVO_OIDC_ORG_CLAIM", "Claim that names the organisation, as `org_...`.", example="org_id")
    ] = "org"
    role_claim: Annotated[
        str,
        Variable("RELEVO_OIDC_ROLE_CLAIM", "Claim with the role: `admin`, `writer` or `reader`.", example="roles"),
    ] = "role"

    client_id: Annotated[
        str | None,
        Variable(
            "RELEVO_OIDC_CLIENT_ID",
            "Relevo's name as the issuer's client: the console then offers to sign in there.",
            example="relevo",
        ),
    ] = None
    client_secret: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_OIDC_CLIENT_SECRET",
            "That client's secret; without it Relevo is a public client, which PKCE alone protects.",
            example="the secret that the issuer shows for the client",
            shown="none",
        ),
    ] = None

    @field_validator("issuer")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None and not is_web_address(value):
            raise ValueError("an issuer is a URL")
        return value

    @field_validator("audience")
    @classmethod
    def _goes_with_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("issuer") is not None:
            raise ValueError("with an issuer it has to be set: only tokens for this audience are accepted")
        return value

    @field_validator("client_id")
    @classmethod
    def _is_a_client_of_the_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        # A bad issuer is not among the data, and is told by itself.
        if value is not None and info.data.get("issuer", value) is None:
            raise ValueError("it needs the issuer whose client it is, in RELEVO_OIDC_ISSUER")
        return value

    @field_validator("client_secret")
    @classmethod
    def _is_a_clients(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("client_id", value) is None:
            raise ValueError("it needs the client whose secret it is, in RELEVO_OIDC_CLIENT_ID")
        return value


class Access(Group):
    """The secrets. Generated in embedded mode, required with a database of your own."""

    jwt_secret: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_JWT_SECRET",
            "Signs and checks API tokens; 32 characters or more.",
            example="the output of `openssl rand -base64 48`",
            shown="generated when embedded",
        ),
    ] = None
    secret_key: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_SECRET_KEY",
            "Encrypts endpoint secrets in the database; 32 characters or more.",
            example="the output of `openssl rand -hex 32`",
            shown="generated when embedded",
        ),
    ] = None
    secret_keys: Annotated[
        tuple[SecretStr, ...],
        BeforeValidator(keys),
        Variable(
            "RELEVO_SECRET_KEYS",
            "Several such keys, by commas or as a JSON list, to replace one: the first encrypts, all decrypt.",
            example="the new key, a comma, the old key",
            shown="none",
        ),
    ] = ()

    @field_validator("jwt_secret", "secret_key")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_short_secret(value.get_secret_value())
        return value

    @field_validator("secret_key")
    @classmethod
    def _is_one_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and "," in value.get_secret_value():
            raise ValueError("it is one key; several go into RELEVO_SECRET_KEYS")
        return value

    @field_validator("secret_keys")
    @classmethod
    def _are_long_enough(cls, value: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        for key in value:
            refuse_short_secret(key.get_secret_value())
        only: SecretStr | None = info.data.get("secret_key")
        if value and only is not None and only.get_secret_value() != value[0].get_secret_value().strip():
            raise ValueError("its first key is not the one that RELEVO_SECRET_KEY names; set one of the two")
        return value
