"""A hundred and twenty jobs, and the one that is looked for is the oldest."""

import re
import time
import uuid

import pytest
from sqlalchemy import update

from reconflow.core.drift import DriftReport
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.tables import jobs

pytestmark = pytest.mark.ui


@pytest.fixture(scope="module")
def ledger(service):
    with Ledger.open(f"sqlite:///{service.data_dir / 'reconflow.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def many(ledger):
    """120 ended jobs of somebody else, newest first; no id has three digits in a row that a name has."""
    owner = AccountBook(ledger).add_user("olga", "correct horse")
    now = time.time()
    made = [
        Job(
            job_id=str(uuid.UUID(int=number)), owner_id=owner.user_id, dataset_name="Herbarium",
            scene_name=f"sheet {number}", stage="cancelled", created_at=now - number, finished_at=now, options={},
            drift=DriftReport(),
        )
        for number in range(1, 121)
    ]  # fmt: skip
    for job in made:
        ledger.add_job(job)
    yield made
    for job in made:
        ledger.delete(job.job_id)


def rows(page):
    return page.locator("a.job")


def test_the_oldest_of_120_jobs_is_found_by_its_name_and_its_owner(signed_in, many, shot):
    page = signed_in
    rows(page).nth(99).wait_for()
    assert page.get_by_text("sheet 120").count() == 0
    page.get_by_label("Search jobs by name").fill("herbarium SHEET 120")
    page.get_by_text("sheet 120 · olga").wait_for()
    assert rows(page).count() == 1
    shot(page, "jobs-found")
    page.get_by_label("Search jobs by name").fill("olga sheet 119")
    page.get_by_text("sheet 119 · olga").wait_for()
    page.get_by_label("Show jobs in this state").select_option("Waiting or running")
    page.get_by_role("heading", name="No job fits").wait_for()
    page.get_by_role("button", name="Show all jobs").click()
    rows(page).nth(99).wait_for()


def test_typing_asks_once_and_older_pages_are_not_asked_for_again(page, sign_in, many):
    page.clock.install()
    sign_in(page)
    rows(page).nth(99).wait_for()
    page.get_by_label("Search jobs by name").fill("sheet")
    page.clock.fast_forward(1000)
    page.get_by_role("button", name="Show older jobs").click()
    rows(page).nth(119).wait_for()
    asked = []
    page.on("request", lambda sent: asked.append(sent.url) if "/jobs?" in sent.url else None)
    until(page, lambda: len(asked) >= 2)
    assert not [url for url in asked if "cursor" in url]
    assert rows(page).count() == 120
    page.get_by_label("Search jobs by name").press("End")
    page.keyboard.type(" 120")
    until(page, lambda: any("q=sheet+120" in url for url in asked))
    assert {re.search("q=([^&]*)", url).group(1) for url in asked} == {"sheet", "sheet+120"}


def until(page, condition):
    """Let the page's clock run on, a quarter of a minute at a time."""
    for _ in range(100):
        page.clock.fast_forward(16_000)
        page.wait_for_timeout(100)
        if condition():
            return
    raise AssertionError("it did not come")


def test_a_job_far_down_that_goes_on_is_followed(page, sign_in, many, ledger):
    page.clock.install()
    oldest = many[-1].job_id
    change(ledger, oldest, stage="matching", runner="somebody", lease_until=time.time() + 3600)
    sign_in(page)
    rows(page).nth(99).wait_for()
    page.get_by_role("button", name="Show older jobs").click()
    row = page.locator(f"a[href='#/jobs/{oldest}']")
    row.get_by_text("Comparing photos", exact=True).wait_for()
    change(ledger, oldest, stage="cancelled", runner=None, lease_until=None)
    page.clock.fast_forward(16_000)
    row.get_by_text("Cancelled", exact=True).wait_for()
    assert rows(page).count() >= 120


def change(ledger, job_id, **values):
    with ledger.engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(**values))
