import contextlib
import io
import socket
import threading
import time
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher

from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings
from webapp.app import create_app

PASSWORD = "correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECRET = "a secret of thirty-two bytes or more"


@dataclass
class Site:
    """A service on a port of its own, and clients of it."""

    url: str
    service: JobService
    accounts: AccountBook
    anybody: httpx.Client
    admin: httpx.Client
    anna: httpx.Client
    ben: httpx.Client

    def login(self, name):
        answer = self.anybody.post("/auth/token", json={"username": name, "password": PASSWORD})
        return answer.json()


@pytest.fixture(scope="session", name="site")
def _site():
    return site


@contextlib.contextmanager
def site(data_dir, **options):
    fixed = {"jwt_secret": SECRET, "min_free_bytes": 1 << 20, "workers": 2, "lease_s": 3}
    settings = load_settings({}, data_dir=data_dir, **(fixed | options))
    with Ledger.open(settings.ledger_url) as ledger, contextlib.ExitStack() as stack:
        service, accounts = JobService(settings, ledger), AccountBook(ledger, hasher=CHEAP)
        accounts.ensure_admin("admin", PASSWORD)
        for name in ("anna", "ben"):
            accounts.add_user(name, PASSWORD)
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(settings, service=service, accounts=accounts)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            anybody = stack.enter_context(httpx.Client(base_url=url, timeout=60))
            clients = []
            for name in ("admin", "anna", "ben"):
                answer = anybody.post("/auth/token", json={"username": name, "password": PASSWORD})
                headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
                clients.append(stack.enter_context(httpx.Client(base_url=url, timeout=60, headers=headers)))
            yield Site(url, service, accounts, anybody, *clients)
        finally:
            server.should_exit = True
            thread.join()
            listener.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with site(tmp_path_factory.mktemp("data")) as found:
        yield found


@pytest.fixture(scope="session")
def small_zip(noise):
    return noise.pack(io.BytesIO(), [(f"{i}.png", noise.picture(i, (96, 64))) for i in range(5)]).getvalue()
