"""Addresses of databases, in the forms that the drivers read."""

import pytest

from service.adapters.postgres.engine import as_sqlalchemy, dsn


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_way_to_write_an_address_becomes_the_two_that_are_read(scheme: str) -> None:
    given = f"{scheme}://relevo:s%40fe@db.example.com:6432/relevo"

    assert as_sqlalchemy(given) == "postgresql+asyncpg://relevo:s%40fe@db.example.com:6432/relevo"
    assert dsn(given) == "postgresql://relevo:s%40fe@db.example.com:6432/relevo"


def test_the_mode_of_tls_has_the_name_that_each_driver_knows() -> None:
    given = "postgresql://db.example.com/relevo?sslmode=require"

    assert as_sqlalchemy(given) == "postgresql+asyncpg://db.example.com/relevo?ssl=require"
    assert dsn(as_sqlalchemy(given)) == given
