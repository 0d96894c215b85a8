"""The contract holds on SQLite and on PostgreSQL: every test here runs on both."""

import functools

import pytest


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def web(request, tmp_path_factory, database, site):
    folder = tmp_path_factory.mktemp("data")
    with database(request.param, folder) as url, site(folder, database_url=url) as found:
        yield found


@pytest.fixture
def own_site(site, database_url):
    """Starts one service on a database of its own: for tests that set it up otherwise, or wear it out."""
    return functools.partial(site, database_url=database_url)


@pytest.fixture(scope="session")
def upload():
    """Sends a ZIP as a form."""

    def send(client, content, headers=None, **fields):
        return client.post("/upload", files={"file": ("photos.zip", content)}, data=fields, headers=headers)

    return send


@pytest.fixture(scope="module")
def queued(web, small_zip, upload):
    return upload(web.anna, small_zip, dataset_name="noise").json()["job_id"]
