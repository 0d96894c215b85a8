"""Photos, connections and quality of a finished job, in a real browser."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.ui


def test_photos_are_sorted_searched_and_shown_in_3d(opened, two_balls):
    page = opened(two_balls, "photos")
    rows = page.locator(".photo-rows > .photo-row")
    rows.first.wait_for()
    assert rows.count() == 16
    page.get_by_role("button", name="Points seen").click()
    head = page.get_by_role("columnheader", name="Points seen")
    assert head.get_attribute("aria-sort") == "descending"
    expect(rows.first).to_contain_text("cluster0_model0/0008.jpg")
    expect(rows.last).to_contain_text("stray.jpg")
    page.get_by_role("button", name="Points seen").click()
    assert head.get_attribute("aria-sort") == "ascending"
    expect(rows.first).to_contain_text("/0000.jpg")
    page.get_by_label("Search photos by name or reason").fill("no verified")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("Left out")
    page.get_by_label("Search photos by name or reason").fill("model0/0003")
    page.get_by_role("button", name="cluster1_model0/0003.jpg", exact=True).click()
    page.get_by_role("button", name="Show in 3D").click()
    page.locator(".scene-stage[data-points='900']").wait_for()
    panel = page.get_by_role("complementary", name="Scene and selected photo")
    panel.get_by_role("heading", name="cluster1_model0/0003.jpg").wait_for()


def test_the_matrix_tells_its_pairs_to_pointer_and_keys(opened, two_balls):
    page = opened(two_balls, "matches")
    matrix = page.locator(".matrix-canvas")
    matrix.wait_for()
    told = page.locator(".matrix-told")
    box = matrix.bounding_box()
    cell = (box["width"] - 6) / 16
    matrix.hover(position={"x": 6 + 3.5 * cell, "y": 6 + 2.5 * cell})
    expect(told).to_have_text("cluster0_model0/0002.jpg and cluster0_model0/0003.jpg: 60 matching details")
    matrix.focus()
    page.keyboard.press("ArrowRight")
    expect(told).to_have_text("cluster0_model0/0002.jpg and cluster0_model0/0004.jpg: no match")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="cluster0_model0/0002.jpg").last.wait_for()
    page.get_by_role("button", name="Scene 2").last.click()
    matrix.hover(position={"x": 6 + 1.5 * (box["width"] - 6) / 6, "y": 10})
    expect(told).to_contain_text("cluster1_model0/0000.jpg and cluster1_model0/0001.jpg")


def test_quality_speaks_of_photos_and_not_of_statistics(opened, two_balls):
    page = opened(two_balls, "insights")
    page.get_by_role("tabpanel", name="Quality").get_by_text("These photos are darker than usual").wait_for()
    page.get_by_text("20 %, usually 50 %").wait_for()
    dots = page.locator(".drift-plot .drift-dot").evaluate_all("all => all.map((dot) => dot.getAttribute('cx'))")
    assert dots == ["12.5%", "52.5%"]  # −6 and 0.4 between −8 and 8
    page.get_by_text("very unusual", exact=True).wait_for()
    page.get_by_text("Check the result with care: the photos are unlike").wait_for()
    page.get_by_text("3 photos of scene 1 hang on this one pair").wait_for()
    page.get_by_text("1 min 01 s").wait_for()
    assert "robust_z" not in page.content()


def test_two_thousand_photos_are_listed_and_sorted_quickly(publish, opened, ball):
    page = opened(publish("Many", [ball("cluster0_model0", points=2000, photos=2000)]), "photos")
    rows = page.locator(".photo-rows > .photo-row")
    rows.first.wait_for()
    assert rows.count() == 2001
    took = page.evaluate("""async () => {
        const begun = performance.now();
        document.querySelectorAll(".sort")[3].click();
        document.querySelector(".photo-rows").getBoundingClientRect();
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        return performance.now() - begun;
    }""")
    expect(rows.first).to_contain_text("/1999.jpg")
    assert took < 1000
    page.get_by_role("tab", name="Connections").click()
    page.get_by_text("1,999 pairs of 2,001 photos match").wait_for()
