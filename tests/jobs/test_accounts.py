import time

import pytest

from reconflow.errors import CredentialsError, InputError, ThrottledError
from reconflow.jobs.accounts import AccountBook

PASSWORD = "correct horse"


@pytest.fixture
def accounts(ledger):
    return AccountBook(ledger)


def test_the_first_administrator_gets_a_password_once(accounts):
    made = accounts.ensure_admin("admin", "")
    assert len(made) >= 16
    assert accounts.check_password("admin", made, address="a").role == "admin"
    assert accounts.ensure_admin("admin", "") is None


def test_a_chosen_password_is_not_told_back(accounts):
    assert accounts.ensure_admin("root", PASSWORD) is None
    assert accounts.check_password("root", PASSWORD, address="a").name == "root"


@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), ("x" * 101, PASSWORD), ("anna", "short"), ("a\nb", PASSWORD)]
)
def test_bad_accounts_are_refused(accounts, name, password):
    with pytest.raises(InputError):
        accounts.add_user(name, password)


def test_a_name_is_taken_once(accounts):
    user = accounts.add_user("anna", PASSWORD)
    with pytest.raises(InputError, match="already"):
        accounts.add_user("anna", PASSWORD)
    assert accounts.user(user.user_id) == user
    assert accounts.users() == [user]


def test_passwords_and_tokens_are_nowhere_in_the_database(accounts, ledger):
    from sqlalchemy import select

    from reconflow.jobs.tables import api_keys, refresh_tokens, users

    user = accounts.add_user("anna", PASSWORD)
    token = accounts.start_session(user, lifetime_s=60).refresh_token
    _, key = accounts.create_api_key(user.user_id, "k")
    with ledger.engine.connect() as connection:
        stored = str([connection.execute(select(table)).all() for table in (users, refresh_tokens, api_keys)])
    assert not any(secret in stored for secret in (PASSWORD, token, key))
    assert "argon2id" in stored


def test_failures_are_counted_by_name_and_a_success_forgives_them(accounts):
    accounts.add_user("anna", PASSWORD)
    for number in range(9):
        with pytest.raises(CredentialsError, match="Invalid credentials"):
            accounts.check_password("anna", "guess", address=f"a{number}")
    accounts.check_password("anna", PASSWORD, address="b")
    for number in range(10):
        with pytest.raises(CredentialsError):
            accounts.check_password("anna", "guess", address=f"c{number}")
    with pytest.raises(ThrottledError):
        accounts.check_password("anna", PASSWORD, address="d")


def test_failures_are_counted_by_address_too(accounts):
    for number in range(30):
        with pytest.raises(CredentialsError):
            accounts.check_password(f"name{number}", "guess", address="a")
    with pytest.raises(ThrottledError):
        accounts.check_password("another", "guess", address="a")
    with pytest.raises(CredentialsError):
        accounts.check_password("another", "guess", address="b")


def test_a_refresh_token_is_traded_once_and_its_reuse_ends_the_session(accounts):
    user = accounts.add_user("anna", PASSWORD)
    first = accounts.start_session(user, lifetime_s=60)
    second = accounts.rotate(first.refresh_token, lifetime_s=60)
    assert second.user == user
    other = accounts.start_session(user, lifetime_s=60)
    for token in (first.refresh_token, second.refresh_token, "nonsense"):
        with pytest.raises(CredentialsError):
            accounts.rotate(token, lifetime_s=60)
    accounts.rotate(other.refresh_token, lifetime_s=60)


def test_sessions_end_by_time_and_by_wish(accounts):
    user = accounts.add_user("anna", PASSWORD)
    late = accounts.start_session(user, lifetime_s=-1)
    left = accounts.start_session(user, lifetime_s=60)
    accounts.end_session(left.refresh_token)
    for pair in (late, left):
        with pytest.raises(CredentialsError):
            accounts.rotate(pair.refresh_token, lifetime_s=60)


def test_an_access_token_stays_revoked_until_it_would_have_ended(accounts):
    accounts.revoke_access("j", time.time() + 60)
    accounts.revoke_access("j", time.time() + 60)
    assert accounts.is_revoked("j")
    assert not accounts.is_revoked("k")


def test_a_key_is_its_users_until_it_is_deleted(accounts):
    anna, ben = accounts.add_user("anna", PASSWORD), accounts.add_user("ben", PASSWORD)
    record, key = accounts.create_api_key(anna.user_id, "script")
    assert accounts.user_of_api_key(key) == anna
    [listed] = accounts.api_keys(anna.user_id)
    assert (listed.label, listed.last_used_at is not None) == ("script", True)
    assert not accounts.delete_api_key(ben.user_id, record.key_id)
    assert accounts.delete_api_key(anna.user_id, record.key_id)
    with pytest.raises(CredentialsError):
        accounts.user_of_api_key(key)
