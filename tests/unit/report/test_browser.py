"""The report in a real browser, headless Chromium by Playwright; skipped where they are not.

NNFLOW_REPORT=results/quick/report.html holds a report of your own against the same demands, among
them those that two small studies can't show: size, and figures on first screens.
"""

import csv
import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from two_studies import BOXES, two_studies

from nnflow.base import store
from nnflow.stages.report import report

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")

SCREENS = {"desk": (1400, 900), "phone": (390, 844)}
MOST_LEGIBLE = 7
"""Contrast of text that WCAG 2.2 asks for at level AAA."""
GIVEN = os.environ.get("NNFLOW_REPORT", "")
LARGEST = 8_000_000
"""Bytes of a report."""
KNOWN = pytest.mark.skipif(bool(GIVEN), reason="it plays with numbers that are known")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def file(tmp_path, plugins, request) -> Path:
    """The report of two studies; with the parameter "boxes" one of them has boxes of a proof, where
    it has families else."""
    if GIVEN:
        return Path(GIVEN).resolve()
    plan = two_studies(tmp_path, plugins)
    if getattr(request, "param", "") == "boxes":
        store.write(plan.results / "quick/valleys/analyses/thing.nc", {"": BOXES}, {})
    report(plan)
    return plan.results / "quick/report.html"


@pytest.fixture
def opened(browser, file):
    """opened(view, screen, scheme, script): the page at that view. At the end of the test the
    console has to be clean, and nothing but the file may have been asked for."""
    contexts, said, asked = [], [], []

    def open_page(view="", screen="desk", scheme="light", script=True):
        width, height = SCREENS[screen]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=script,
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{file.as_uri()}#{view}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    own = ("data:", "blob:", file.as_uri())
    assert [url for url in asked if not url.startswith(own)] == []


def views(page) -> list[str]:
    return page.eval_on_selector_all(".view", "all => all.map(one => one.id)")


def go(page, view: str) -> None:
    page.evaluate("view => { location.hash = view }", view)
    page.wait_for_function(
        "view => (document.querySelector('.view.on') || {}).id === view.split('?')[0]", arg=view
    )


both_plays = pytest.mark.parametrize(
    "file", ["families"] if GIVEN else ["families", "boxes"], indirect=True
)


def test_the_list_of_studies_shows_the_one_that_is_read(opened):
    page = opened()
    page.set_viewport_size({"width": 1400, "height": 240})
    view = page.eval_on_selector_all(".view.study", "all => all.at(-1).id")
    go(page, view)
    box = page.locator('aside a[aria-current="page"]').bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 240


@both_plays
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_no_view_breaks_a_rule_of_accessibility(opened, screen, scheme):
    names = views(opened(screen=screen, scheme=scheme))
    # of a large report the views of each kind, as each takes seconds
    for view in names if len(names) < 20 else [*names[:3], *names[-2:]]:
        page = opened(view, screen, scheme)
        # what is played with is drawn when it is first seen
        for play in page.locator(".view.on .play").all():
            play.scroll_into_view_if_needed()
            playwright.expect(play.locator("output, .view-words").first).not_to_be_empty()
        # what is not shown would be looked through, too
        page.evaluate("document.querySelectorAll('.view:not(.on)').forEach(one => one.remove())")
        page.eval_on_selector_all(
            "main details", "all => all.slice(0, 20).forEach(one => { one.open = true })"
        )
        found = axe.Axe().run(page).response["violations"]
        told = {one["id"]: [node["html"][:200] for node in one["nodes"][:3]] for one in found}
        assert not told, (view, told)
        page.close()


@both_plays
@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_wider_than_the_page(opened, screen):
    page = opened(screen=screen)
    width = SCREENS[screen][0]
    for view in views(page):
        go(page, view)
        page.eval_on_selector_all(
            f"#{view} details", "all => all.slice(0, 30).forEach(one => { one.open = true })"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        page.wait_for_timeout(50)  # a fold tells of its opening a moment later
        wide = page.eval_on_selector_all(
            f"#{view} .wrap",
            "all => all.filter(one => !one.closest('details:not([open])'))"
            ".filter(one => one.scrollWidth > one.clientWidth + 1)"
            ".map(one => one.querySelector('caption').textContent)",
        )
        assert wide == [], view


def test_every_image_loads(opened):
    page = opened()
    for view in views(page):
        go(page, view)
        page.eval_on_selector_all(
            f"#{view} img", "all => all.forEach(one => { one.loading = 'eager' })"
        )
        page.eval_on_selector_all(f"#{view} details", "all => all.forEach(d => d.open = true)")
        broken = page.evaluate(
            """async view => {
                const all = [...document.getElementById(view).querySelectorAll("img")];
                await Promise.all(all.map(one => one.decode().catch(() => {})));
                return all.filter(one => !one.naturalWidth).map(one => one.alt);
            }""",
            view,
        )
        assert broken == [], view
    assert page.locator("figure img").count() > 0


@pytest.mark.parametrize("screen", SCREENS)
def test_the_first_figure_of_a_study_is_on_its_first_screen(opened, screen):
    page = opened(screen=screen)
    tops = {}
    for view in page.eval_on_selector_all(".study", "all => all.map(one => one.id)"):
        go(page, view)
        if page.locator(f"#{view} figure").count():
            box = page.locator(f"#{view} figure").first.bounding_box()
            tops[view] = box["y"] + page.evaluate("scrollY")
    assert tops and {view: top for view, top in tops.items() if top > SCREENS[screen][1]} == {}


def luminance(colour) -> float:
    """Of a colour of sRGB, 0 to 1 (WCAG 2.2, relative luminance)."""
    parts = [part / 255 for part in colour[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ground_and_ink(image) -> tuple[float, float]:
    """The luminance of the colour that most of a picture on the screen has, and of its darkest."""
    pixels = Image.open(io.BytesIO(image.screenshot())).convert("RGB")
    found = pixels.getcolors(pixels.width * pixels.height)
    return luminance(max(found)[1]), min(luminance(colour) for _, colour in found)


@pytest.mark.parametrize("screen", SCREENS)
def test_figures_lie_on_dimmed_paper_in_the_dark(opened, screen):
    """Drawings are in dark ink, and some have no ground of their own. What they lie on is as bright
    as paper by daylight, darker in the dark, where white would glare, and bright enough to be
    read."""
    page = opened(screen=screen)
    study = page.eval_on_selector_all(".view:has(figure img)", "all => all.map(one => one.id)")[0]
    grounds = {}
    for scheme in ("light", "dark"):
        for switched in (False, True):
            # the button turns what the system asks for into the other
            system = {"light": "dark", "dark": "light"}[scheme] if switched else scheme
            page = opened(study, screen, system)
            if switched:
                page.click("#theme")
            figure = page.locator(f"#{study} figure img").first
            grounds[scheme, switched, "study"] = ground_and_ink(figure)
            figure.click()
            grounds[scheme, switched, "enlarged"] = ground_and_ink(page.locator("#box img"))
            page.keyboard.press("Escape")
            go(page, "top")
            for where in ("hero", "thumb"):
                image = page.locator(f"#top .{where} img").first
                image.scroll_into_view_if_needed()
                grounds[scheme, switched, where] = ground_and_ink(image)
    for (scheme, *where), (ground, ink) in grounds.items():
        assert (ground + 0.05) / (ink + 0.05) >= MOST_LEGIBLE, (scheme, where, ground, ink)
        assert ground > 0.95 if scheme == "light" else 0.6 < ground < 0.8, (scheme, where, ground)


@pytest.mark.parametrize(("screen", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_an_enlarged_figure_is_large_and_breaks_no_rule_of_accessibility(opened, screen, scheme):
    page = opened(screen=screen, scheme=scheme)
    study = page.eval_on_selector_all(".view:has(figure img)", "all => all.map(one => one.id)")[0]
    go(page, study)
    page.locator(f"#{study} a.zoom").first.click()
    # on a phone it is larger than the screen and moved by a finger
    assert page.locator("#box img").bounding_box()["width"] > 600
    box, mat = page.locator("#box").bounding_box(), page.locator("#box .mat").bounding_box()
    assert box["x"] < mat["x"] and mat["x"] + mat["width"] < box["x"] + box["width"]
    found = axe.Axe().run(page, context="#box").response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


def shown(page) -> list[str]:
    return page.eval_on_selector_all(".claim:not([hidden])", "all => all.map(one => one.id)")


def test_claims_are_found_by_words_and_chips_and_the_address_remembers(opened):
    page = opened("claims")
    every = shown(page)
    assert len(every) > 2
    page.click("button[data-value=corrected]")
    corrected = shown(page)
    assert 0 < len(corrected) < len(every)
    assert set(
        page.eval_on_selector_all(".claim:not([hidden])", "all => all.map(a => a.dataset.verdict)")
    ) == {"corrected"}
    study = page.locator(".claim:not([hidden])").first.get_attribute("data-study")
    page.select_option("#study", study)
    both = shown(page)
    assert 0 < len(both) <= len(corrected)
    assert page.inner_text("#shown").split()[0] == str(len(both))
    again = opened(page.url.partition("#")[2])
    assert shown(again) == both
    page.click("#clear")
    assert shown(page) == every
    page.fill("#query", "no such words")
    assert shown(page) == []
    page.go_back()


def test_a_permalink_opens_its_claim(opened):
    page = opened("claims")
    last = shown(page)[-1]
    linked = opened(last)
    assert linked.locator(f"[id='{last}']").get_attribute("open") is not None
    top = linked.locator(f"[id='{last}']").bounding_box()["y"]
    assert 0 <= top < 900


def test_the_selection_is_saved_as_csv(opened):
    page = opened("claims?verdict=corrected")
    with page.expect_download() as download:
        page.click("#csv")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    claims = {f"claim.{row['study']}.{row['claim']}" for row in rows}
    assert claims == set(shown(page))
    assert all(len(row) == 12 and None not in row for row in rows)
    numbers = [row for row in rows if row["verdict"] == "corrected"]
    assert all(float(row["measured"]) != float(row["published"]) for row in numbers)


def test_the_page_is_small(file):
    assert file.stat().st_size < LARGEST


def test_keys_walk_through_the_studies(opened):
    page = opened()
    studies = page.eval_on_selector_all(".study", "all => all.map(one => one.id)")
    current = "document.querySelector('.view.on').id"
    for key, view in (("j", studies[0]), ("j", studies[1]), ("k", studies[0]), ("h", "top")):
        page.keyboard.press(key)
        page.wait_for_function(f"view => {current} === view", arg=view)
    page.keyboard.press("/")
    page.wait_for_function(f"{current} === 'claims'")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.type("j")
    assert page.evaluate(current) == "claims"


def test_a_figure_is_enlarged_with_its_links(opened):
    page = opened()
    study = page.locator(".study").first.get_attribute("id")
    go(page, study)
    page.locator(f"#{study} a.zoom").first.click()
    assert page.evaluate("document.getElementById('box').open")
    words = page.inner_text("#box .box-caption")
    assert all(word in words for word in ("SVG", "PNG", ".nc", "cite"))
    page.click("#box .cite")
    assert study in page.inner_text("#box q")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('box').open")


def test_tables_are_sorted_by_a_click(opened):
    page = opened("reading")
    column = "#reading tbody td:nth-child(2)"
    head = page.locator("#reading thead button").nth(1)
    head.click()
    rising = [int(text) for text in page.locator(column).all_inner_texts()]
    assert rising == sorted(rising) and len(set(rising)) > 1
    head.click()
    falling = [int(text) for text in page.locator(column).all_inner_texts()]
    assert falling == sorted(falling, reverse=True)
    assert page.locator("#reading th[aria-sort=descending]").count() == 1


def test_it_is_read_without_script(opened):
    page = opened(script=False)
    names = views(page)
    for view in names:
        assert page.locator(f"#{view} h1").is_visible()
    tops = [page.locator(f"#{view} h1").bounding_box()["y"] for view in names]
    assert tops == sorted(tops)
    assert not page.locator(".filters").is_visible()
    page.locator("details.claim summary").first.click()
    assert page.locator("details.claim table").first.is_visible()


def test_it_is_printed(opened, tmp_path):
    page = opened()
    study = page.locator(".study").first.get_attribute("id")
    go(page, study)
    page.emulate_media(media="print")
    assert not page.locator("aside").is_visible()
    assert page.locator(f"#{study} figure").first.is_visible()
    assert len(page.pdf(format="A4")) > 5000


@KNOWN
def test_a_click_descends_the_loss(opened):
    """½(w₁² + 4w₂²) on [−2, 2]²: 41 points in each direction, so that the rate is begun with
    4.1/(40·8.25): the gradient at a corner, by one-sided differences, is (1.95, 7.8)."""
    page = opened("ridges")
    terrain = page.locator("#ridges .terrain")
    canvas, said = terrain.locator("canvas"), terrain.locator("[role=status]")
    canvas.scroll_into_view_if_needed()
    playwright.expect(said).to_have_text("To the right w₁ from −2 to 2, upwards w₂ from −2 to 2.")
    assert terrain.locator("output").inner_text() == "α = 0.0127"
    side = canvas.bounding_box()["width"]
    canvas.click(position={"x": 0.75 * side, "y": 0.75 * side})
    playwright.expect(said).to_contain_text("From (1, −1) with α = 0.0127: loss 0.0000")
    playwright.expect(said).to_contain_text("steps.")
    # beyond 2/M = 0.5 it can't stay; the slider ends at ten times 0.0127, so the window decides
    terrain.locator("input").fill("1")
    playwright.expect(said).to_contain_text("with α = 0.127: loss 0.00000")
    terrain.locator("select").select_option("runs=20")
    playwright.expect(said).to_contain_text("To the right")
    terrain.locator(".anywhere").click()
    playwright.expect(said).to_contain_text("From (")
    terrain.locator(".fresh").click()
    playwright.expect(said).to_contain_text("To the right")


def drawn(play):
    """Part of a page, on the screen and drawn."""
    play.scroll_into_view_if_needed()
    playwright.expect(play.locator("svg").first.locator("rect").first).to_be_attached()
    return play


@KNOWN
def test_a_family_is_followed_from_width_to_width(opened):
    play = drawn(opened("valleys").locator("#valleys .members"))
    said, slider = play.locator("[role=status]"), play.locator("input")
    # it begins at the first minimum
    playwright.expect(play.locator("output")).to_have_text("k = 5")
    assert said.inner_text() == (
        "one: S₍ₖ₋₁₎ × S₁ at k = 5: minimum, loss 0.02, lowest eigenvalue 0.1;"
        " none of 25 eigenvalues is negative."
    )
    assert play.locator("tbody").inner_text().split() == [
        "aligned", "4", "0.9688", "−0.1", "0.3", "turned", "1", "−0.75", "0.2", "–",
    ]  # fmt: skip
    negative = play.locator(".spectrum rect[style]")
    assert negative.count() == 0
    # 16 + 1 entries of the neurons, the two blocks beside, and edges
    assert play.locator(".weights rect:not(.edge):not(pattern rect)").count() == 19
    slider.focus()
    slider.press("ArrowLeft")
    playwright.expect(said).to_contain_text("at k = 4: saddle, loss 0.03")
    playwright.expect(said).to_contain_text("2 of 16 eigenvalues are negative")
    assert negative.count() == 1
    # a click on a curve chooses, too; there the saddles are hollow
    assert play.locator(".loss .hollow").count() == 2
    play.locator(".loss circle").first.click()
    playwright.expect(play.locator("output")).to_have_text("k = 3")
    assert slider.get_attribute("aria-valuetext") == "k = 3"
    play.locator("select").select_option(index=1)
    playwright.expect(said).to_contain_text("all: Sₖ at k = 3: minimum, loss 0.1")
    slider.fill("1")
    playwright.expect(said).to_contain_text("none of 10000 eigenvalues is negative")
    assert "of 100 neurons 16 are drawn" in play.locator(".weights").text_content()


def ends(play) -> str:
    return play.locator(".view-words").inner_text()


@KNOWN
@pytest.mark.parametrize("file", ["boxes"], indirect=True)
def test_a_proof_is_zoomed_into_by_buttons_keys_and_wheel(opened):
    page = opened("valleys")
    play = drawn(page.locator("#valleys .boxes"))
    whole = "8 of 8 boxes: 0 ≤ s ≤ 0.5, so that k is 4 to ∞."
    playwright.expect(play.locator(".view-words")).to_have_text(whole)
    press = {name: play.locator(f"[data-do={name}]") for name in ("in", "out", "left", "all")}
    press["in"].click()
    assert ends(play) == "4 of 8 boxes: 0.125 ≤ s ≤ 0.375, so that k is 7.11111 to 64."
    press["left"].click()
    assert ends(play).startswith("4 of 8 boxes: 0.0625 ≤ s ≤ 0.3125")
    press["out"].click()
    assert ends(play) == whole
    # by keys, where the picture has the focus; nothing goes beyond the ends
    window = play.locator(".window")
    window.focus()
    for key, begins in (
        ("+", "0.125 ≤ s ≤ 0.375"), ("ArrowRight", "0.1875 ≤ s ≤ 0.4375"),
        ("ArrowRight", "0.25 ≤ s ≤ 0.5"), ("ArrowRight", "0.25 ≤ s ≤ 0.5"), ("0", "0 ≤ s ≤ 0.5"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert begins in ends(play), key
    # the wheel scrolls the page unless the picture has the focus
    box = play.locator("svg").bounding_box()
    page.mouse.move(box["x"] + 58, box["y"] + 150)
    page.mouse.wheel(0, -200)
    playwright.expect(play.locator(".view-words")).to_contain_text("0 ≤ s ≤ 0.25")
    press["all"].click()  # and has the focus
    page.mouse.move(box["x"] + 58, box["y"] + 150)
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(100)
    assert ends(play) == whole


@KNOWN
@pytest.mark.parametrize("file", ["boxes"], indirect=True)
def test_a_box_tells_what_is_proved_on_it(opened):
    page = opened("valleys")
    play = drawn(page.locator("#valleys .boxes"))
    said = play.locator("[role=status]")
    assert said.inner_text() == ""
    play.locator("[data-do=next]").click()
    assert said.inner_text().splitlines() == [
        "Box 1: 0 ≤ s ≤ 0.0625, so that k is 256 to ∞.",
        "0.937 at least this",  # 0.9375, and a lower bound is rounded down
        "∞ at most this",
        "0.25 loss low",
        "0.5 loss high",
        "10⁻⁵ half-width of the tube",
    ]
    box = play.locator("svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 12, box["y"] + 150)
    assert said.inner_text().startswith("Box 8: 0.4375 ≤ s ≤ 0.5, so that k is 4 to 5.22449.")
    assert "0.563 at most this" in said.inner_text()  # 0.5625
    assert play.locator("rect.chosen").count() == 1
    page.keyboard.press("p")
    assert said.inner_text().startswith("Box 7")
    play.locator("select.family").select_option("two turned")
    assert said.inner_text() == "" and ends(play).startswith("2 of 2 boxes: 0 ≤ s ≤ 0.2")
    heights = "all => all.map(one => Number(one.getAttribute('height')))"
    assert play.locator("rect.box").count() == 2
    play.locator("select.band").select_option("loss")
    same = page.eval_on_selector_all("#valleys .boxes rect.box", heights)
    assert len(same) == 2 and same[0] == pytest.approx(same[1]) and same[0] > 50


@KNOWN
def test_without_script_nothing_asks_to_be_clicked(opened):
    page = opened("ridges", script=False)
    assert page.locator(".play").count() == 2
    assert not any(play.is_visible() for play in page.locator(".play").all())
    assert page.locator("#ridges figure img").first.is_visible()
