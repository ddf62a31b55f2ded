"""Sealing and opening."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.machine.vault import AesVault, VaultLocked


@given(plain=st.binary(max_size=300))
def test_what_was_sealed_opens_again(plain: bytes) -> None:
    vault = AesVault(["a key"])

    assert vault.open(vault.seal(plain)) == plain


def test_the_same_bytes_never_look_the_same_twice() -> None:
    vault = AesVault(["a key"])

    assert vault.seal(b"secret") != vault.seal(b"secret")


def test_a_new_key_in_front_leaves_the_old_one_opening_what_it_sealed() -> None:
    sealed = AesVault(["old"]).seal(b"secret")

    assert AesVault(["new", "old"]).open(sealed) == b"secret"


def test_the_first_key_is_the_one_that_seals() -> None:
    sealed = AesVault(["new", "old"]).seal(b"secret")

    assert AesVault(["new"]).open(sealed) == b"secret"


def test_a_key_that_is_no_longer_listed_is_named_as_the_reason() -> None:
    sealed = AesVault(["old"]).seal(b"secret")

    with pytest.raises(VaultLocked, match="not among RELEVO_SECRET_KEYS"):
        AesVault(["new"]).open(sealed)


def test_every_changed_bit_is_noticed() -> None:
    vault = AesVault(["a key"])
    sealed = vault.seal(b"secret")

    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VaultLocked):
            vault.open(bytes(changed))


@pytest.mark.parametrize("length", range(40))
def test_bytes_that_were_cut_short_are_refused(length: int) -> None:
    vault = AesVault(["a key"])

    with pytest.raises(VaultLocked):
        vault.open(vault.seal(b"a longer secret")[:length])


def test_a_vault_without_keys_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        AesVault([])
