"""The service as its administrators see it."""

import re

import pytest

pytestmark = pytest.mark.ui


def workers_card(page):
    return page.locator("section", has=page.get_by_role("heading", name="Workers"))


def test_workers_are_told_by_machine_with_threads_and_memory(signed_in, shot):
    signed_in.goto("/#/admin")
    card = workers_card(signed_in)
    card.get_by_text(re.compile(r"2 workers, \d busy.* · 2 threads · [\d.]+ MB of [\d.]+ GB memory")).wait_for()
    shot(signed_in, "admin-workers")


def test_the_dashboard_opens_from_the_machine_it_runs_on(signed_in, context):
    signed_in.goto("/#/admin")
    address = workers_card(signed_in).get_by_role("link", name="Dask dashboard").get_attribute("href")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/status", address)


def test_whoever_goes_by_keyboard_keeps_the_place_when_the_cards_are_told_anew(signed_in):
    signed_in.goto("/#/admin")
    card = workers_card(signed_in)
    card.get_by_text("2 workers").wait_for()
    link = card.get_by_role("link", name="Dask dashboard")
    link.focus()
    for _ in range(2):
        with signed_in.expect_response("**/admin/status"):
            pass
    signed_in.wait_for_timeout(200)
    assert link.evaluate("at => document.activeElement === at")


def test_from_elsewhere_the_dashboards_address_is_told(sign_in, service, browser):
    """The page under another name of this machine, as a remote administrator has it."""
    port = service.url.rpartition(":")[2]
    away = browser.new_context(base_url=f"http://studio.localhost:{port}")
    away.set_default_timeout(15_000)
    try:
        tab = away.new_page()
        sign_in(tab, "/#/admin")
        card = workers_card(tab)
        card.get_by_text("on the server").wait_for()
        assert not card.get_by_role("link").count()
    finally:
        away.close()


def test_gpus_are_told_one_by_one(signed_in):
    """A machine with two GPUs, as the service would tell of it; build machines have none."""

    def with_gpus(route):
        answer = route.fetch()
        status = answer.json()
        names = [("NVIDIA H100", True, 7e9), ("NVIDIA A100", False, 0)]
        gpus = [{"name": n, "busy": b, "memory_bytes": m, "total_bytes": 80e9} for n, b, m in names]
        status["runners"][0]["machines"] = [status["runners"][0]["machines"][0] | {"host": "gpu-box", "gpus": gpus}]
        route.fulfill(response=answer, json=status)

    signed_in.route("**/admin/status", with_gpus)
    signed_in.goto("/#/admin")
    card = workers_card(signed_in)
    card.get_by_text("gpu-box: ").wait_for()
    card.get_by_text("NVIDIA H100 · busy · 7.0 GB of 80.0 GB memory").wait_for()
    card.get_by_text("NVIDIA A100 · idle · 0 bytes of 80.0 GB memory").wait_for()
    signed_in.unroute_all()
