import threading
import time
from functools import partial

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from reconflow.errors import CredentialsError, InputError, JobStateError, ThrottledError
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.tables import api_keys, refresh_tokens, users

PASSWORD = "correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""As the real one, but a thousand times faster: these tests log in a hundred times."""


@pytest.fixture
def accounts(ledger):
    return AccountBook(ledger, hasher=CHEAP)


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
    user = accounts.add_user("anna", PASSWORD)
    token = accounts.sessions.start(user, lifetime_s=60).refresh_token
    _, key = accounts.api_keys.create(user.user_id, "k")
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
    first = accounts.sessions.start(user, lifetime_s=60)
    second = accounts.sessions.rotate(first.refresh_token, lifetime_s=60)
    assert second.user == user
    other = accounts.sessions.start(user, lifetime_s=60)
    for token in (first.refresh_token, second.refresh_token, "nonsense"):
        with pytest.raises(CredentialsError):
            accounts.sessions.rotate(token, lifetime_s=60)
    accounts.sessions.rotate(other.refresh_token, lifetime_s=60)


def test_sessions_end_by_time_and_by_wish(accounts):
    user = accounts.add_user("anna", PASSWORD)
    late = accounts.sessions.start(user, lifetime_s=-1)
    left = accounts.sessions.start(user, lifetime_s=60)
    accounts.sessions.end(left.refresh_token)
    for pair in (late, left):
        with pytest.raises(CredentialsError):
            accounts.sessions.rotate(pair.refresh_token, lifetime_s=60)


def test_an_access_token_stays_revoked_until_it_would_have_ended(accounts):
    anna = accounts.add_user("anna", PASSWORD)
    accounts.sessions.revoke_access("j", time.time() + 60)
    accounts.sessions.revoke_access("j", time.time() + 60)
    with pytest.raises(CredentialsError, match="revoked"):
        accounts.sessions.user_of_access(anna.user_id, "j", issued_at=time.time())
    assert accounts.sessions.user_of_access(anna.user_id, "k", issued_at=time.time()) == anna


@pytest.mark.parametrize("key_id", ["", "\0", "x", "\ud800", "0" * 5000])
def test_what_is_no_id_is_nobodys_key(accounts, key_id):
    assert not accounts.api_keys.delete("anna", key_id)


def test_a_key_is_its_users_until_it_is_deleted(accounts):
    anna, ben = accounts.add_user("anna", PASSWORD), accounts.add_user("ben", PASSWORD)
    record, key = accounts.api_keys.create(anna.user_id, "script")
    assert accounts.api_keys.user_of(key) == anna
    [listed] = accounts.api_keys.of(anna.user_id)
    assert (listed.label, listed.last_used_at is not None) == ("script", True)
    assert not accounts.api_keys.delete(ben.user_id, record.key_id)
    assert accounts.api_keys.delete(anna.user_id, record.key_id)
    with pytest.raises(CredentialsError):
        accounts.api_keys.user_of(key)


def at_once(*actions):
    """Call each in a thread, started together; return what came back or was raised."""
    barrier, found = threading.Barrier(len(actions)), []

    def run(action):
        barrier.wait()
        try:
            found.append(action())
        except (CredentialsError, ThrottledError) as error:
            found.append(type(error))

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_guesses_made_at_once_do_not_outrun_the_throttle(ledger):
    slow = AccountBook(ledger, hasher=PasswordHasher(time_cost=3, memory_cost=8192, parallelism=1))
    slow.add_user("anna", PASSWORD)
    found = at_once(*[lambda: slow.check_password("anna", "guess", address="a")] * 24)
    assert (found.count(CredentialsError), found.count(ThrottledError)) == (10, 14)


def test_web_processes_that_start_at_once_make_one_administrator(ledger):
    made = at_once(*[lambda: AccountBook(ledger, hasher=CHEAP).ensure_admin("admin", "")] * 4)
    [password] = [each for each in made if each]
    accounts = AccountBook(ledger, hasher=CHEAP)
    assert [user.name for user in accounts.users()] == ["admin"]
    assert accounts.check_password("admin", password, address="a").role == "admin"


def test_a_login_renews_a_hash_made_with_weaker_settings(ledger):
    AccountBook(ledger, hasher=CHEAP).add_user("anna", PASSWORD)
    stronger = AccountBook(ledger, hasher=PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    stronger.check_password("anna", PASSWORD, address="a")
    with ledger.engine.connect() as connection:
        assert "m=64,t=2" in connection.execute(select(users.c.password_hash)).scalar_one()
    assert stronger.check_password("anna", PASSWORD, address="a").name == "anna"


def test_a_session_that_ends_while_it_is_renewed_is_over(accounts):
    user = accounts.add_user("anna", PASSWORD)
    for _ in range(10):
        token = accounts.sessions.start(user, lifetime_s=60).refresh_token
        found = at_once(partial(accounts.sessions.rotate, token, lifetime_s=60), partial(accounts.sessions.end, token))
        [renewed] = [each for each in found if each is not None]
        if renewed is not CredentialsError:
            with pytest.raises(CredentialsError):
                accounts.sessions.rotate(renewed.refresh_token, lifetime_s=60)


def test_a_new_password_ends_sessions_and_tokens_of_before(accounts):
    anna = accounts.add_user("anna", PASSWORD)
    session = accounts.sessions.start(anna, lifetime_s=60)
    _, key = accounts.api_keys.create(anna.user_id, "script")
    before = time.time()
    assert accounts.change_user(anna.user_id, password="another horse") == anna
    with pytest.raises(CredentialsError):
        accounts.sessions.rotate(session.refresh_token, lifetime_s=60)
    with pytest.raises(CredentialsError, match="revoked"):
        accounts.sessions.user_of_access(anna.user_id, "j", issued_at=before)
    assert accounts.sessions.user_of_access(anna.user_id, "j", issued_at=time.time()) == anna
    with pytest.raises(CredentialsError):
        accounts.check_password("anna", PASSWORD, address="a")
    assert accounts.check_password("anna", "another horse", address="a") == anna
    assert accounts.api_keys.user_of(key) == anna
    with pytest.raises(InputError):
        accounts.change_user(anna.user_id, password="short")


def test_a_role_that_changes_counts_at_once(accounts):
    accounts.ensure_admin("admin", PASSWORD)
    anna = accounts.add_user("anna", PASSWORD)
    issued = time.time()
    assert accounts.change_user(anna.user_id, role="admin").role == "admin"
    assert accounts.sessions.user_of_access(anna.user_id, "j", issued_at=issued).role == "admin"
    assert accounts.change_user("nobody", role="user") is None


def test_a_removed_account_has_no_sessions_tokens_or_keys(accounts):
    anna = accounts.add_user("anna", PASSWORD)
    session = accounts.sessions.start(anna, lifetime_s=60)
    _, key = accounts.api_keys.create(anna.user_id, "script")
    assert accounts.remove_user(anna.user_id)
    assert not accounts.remove_user(anna.user_id)
    for attempt in (
        partial(accounts.sessions.rotate, session.refresh_token, lifetime_s=60),
        partial(accounts.sessions.user_of_access, anna.user_id, "j", issued_at=time.time()),
        partial(accounts.api_keys.user_of, key),
        partial(accounts.check_password, "anna", PASSWORD, address="a"),
    ):
        with pytest.raises(CredentialsError):
            attempt()
    assert accounts.api_keys.of(None) == []


def test_somebody_stays_to_administer_the_service(accounts):
    accounts.ensure_admin("admin", PASSWORD)
    [admin] = accounts.users()
    for attempt in (partial(accounts.change_user, role="user"), accounts.remove_user):
        with pytest.raises(JobStateError, match="only administrator"):
            attempt(admin.user_id)
    accounts.add_user("root", PASSWORD, "admin")
    assert accounts.change_user(admin.user_id, role="user").role == "user"
    assert accounts.remove_user(admin.user_id)


def test_administrators_see_and_delete_everybodys_keys(accounts):
    anna, ben = (accounts.add_user(name, PASSWORD) for name in ("anna", "ben"))
    made = {accounts.api_keys.create(user.user_id, user.name)[0] for user in (anna, ben)}
    assert set(accounts.api_keys.of(None)) == made
    for key in made:
        assert accounts.api_keys.delete(None, key.key_id)
    assert accounts.api_keys.of(None) == []
