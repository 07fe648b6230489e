from __future__ import annotations

import contextlib
import shutil
import threading
import time
import urllib.request

import pytest

from harness.commands import page_server
from tests import made
from tests.report import sheets

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = {"phone": (390, 844), "desktop": (1280, 900), "4k": (3840, 2160)}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    sheets.write(
        folder,
        warped=(0.50, 0.52, 0.54),
        contrastive=(0.30, 0.33, 0.34),
        triplet=(0.31, 0.32, 0.37),
    )
    return folder


@pytest.fixture(scope="module")
def path(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(sheets.html(results), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api",
        reason="the page is not tried in a browser: python -m pip install playwright",
    )
    if CHROMIUM is None:
        pytest.skip("the page is not tried in a browser: there is no chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(browser, path):
    """A page that fails the test if the browser's console says anything or a request is made."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: request.url == path.as_uri() or said.append(request.url))
    tab.goto(path.as_uri())
    yield tab
    assert said == []
    context.close()


def column(tab, number):
    """The texts of a column of the comparison, from the top."""
    cells = tab.locator(f"table.comparison tbody tr > :nth-child({number})")
    return cells.all_inner_texts()


def test_a_click_on_a_head_sorts_by_its_numbers_and_another_one_turns_it(tab):
    head = tab.locator("table.comparison thead th:nth-child(2)")
    head.locator("button").click()
    assert column(tab, 1) == ["warped", "triplet", "contrastive"]
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").press("Enter")
    assert column(tab, 1) == ["contrastive", "triplet", "warped"]
    assert head.get_attribute("aria-sort") == "ascending"
    tab.locator("table.comparison thead th:nth-child(1) button").click()
    assert column(tab, 1) == ["contrastive", "triplet", "warped"]


@pytest.mark.parametrize("form", ["markdown", "latex", "csv"])
def test_a_copy_is_what_table_prints(tab, results, form):
    details = tab.locator(".copies details", has=tab.locator(f"#s0-{form}"))
    details.locator("summary").click()
    details.locator("button.copy").click()
    details.get_by_text("Copied").wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == made.call("table", "--results", results, "--format", form)[1]


def test_a_metric_that_is_chosen_is_shown_in_tables_and_figures(tab):
    shown = tab.locator("table.comparison thead th:visible")
    assert shown.count() == 1 + 3 + 1
    tab.get_by_label("P@1", exact=True).check()
    assert shown.count() == 1 + 6 + 1
    tab.get_by_label("Ensemble", exact=True).uncheck()
    assert shown.count() == 1 + 4 + 1
    assert tab.locator(".forests svg:visible").count() == 4


def test_the_runs_behind_a_cell_are_shown_at_the_pointer_and_by_the_keys(tab):
    first = tab.locator("table.comparison td[data-runs]").first
    note = tab.locator("#note")
    first.hover()
    assert "repeat 0: 50.00" in note.inner_text()
    assert "python -m harness verify tiny/made/warped" in note.inner_text()
    first.focus()
    tab.keyboard.press("ArrowDown")
    assert "repeat 0: 31.00" in note.inner_text()
    tab.keyboard.press("Escape")
    assert not note.is_visible()


def test_another_baseline_turns_the_differences_round(tab):
    def lines():
        return tab.locator("table.differences tbody tr").all_inner_texts()

    before = lines()
    tab.locator(".pair-baseline").select_option(label="contrastive")
    after = lines()
    assert before != after
    assert any(line.startswith("warped") and "+19.67" in line for line in after)
    tab.locator(".pair-baseline").select_option(label="warped")
    assert lines() == before
    tab.locator(".pair-column").select_option(label="Aggregate RP")
    assert "Aggregate RP" in tab.locator(".pair-title").first.inner_text()


def test_the_script_draws_the_pairs_that_the_page_had_before(tab):
    tables = tab.locator(".pairs table")
    before = [tables.nth(i).inner_html().replace("\n", "") for i in range(2)]
    tab.locator(".pair-column").dispatch_event("change")
    texts = [tables.nth(i).locator("td, th").all_inner_texts() for i in range(2)]
    classes = [
        [row.get_attribute("class") for row in tables.nth(0).locator("tbody tr").all()],
        [cell.get_attribute("class") for cell in tables.nth(1).locator("td").all()],
    ]
    tab.reload()
    again = [tables.nth(i).locator("td, th").all_inner_texts() for i in range(2)]
    assert texts == again
    assert before == [tables.nth(i).inner_html().replace("\n", "") for i in range(2)]
    assert classes[0] == [
        row.get_attribute("class") for row in tables.nth(0).locator("tbody tr").all()
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_never_scrolls_sideways_and_text_stands_out(browser, path, size, scheme):
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(path.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = tab.evaluate(
        "(() => { const s = getComputedStyle(document.body);"
        " return [s.color, s.backgroundColor].map(c => c.match(/\\d+/g).slice(0, 3)"
        ".reduce((sum, v) => sum + Number(v), 0)); })()"
    )
    assert abs(ink - paper) > 500
    assert (ink < paper) == (scheme == "light")
    context.close()


def test_tables_are_read_without_scripts(browser, path):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(path.as_uri())
    assert tab.locator("table.comparison td:visible").count() == 3 * (3 + 1)
    assert tab.locator("table.differences tbody tr:visible").count() == 2
    assert tab.locator("button:visible, select:visible").count() == 0
    context.close()


def test_a_name_that_is_markup_runs_nothing(browser, tmp_path):
    name = "<img src=x onerror=alert(1)>"
    sheets.write(tmp_path, "<script>alert(2)", **{name: (0.1, 0.2, 0.3), "x": (0.3, 0.2, 0.25)})
    path = tmp_path / "page.html"
    path.write_text(sheets.html(tmp_path), encoding="utf-8")
    tab = browser.new_page()
    dialogs: list[str] = []
    tab.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    tab.on("console", lambda message: dialogs.append(message.text))
    tab.goto(path.as_uri())
    tab.locator("table.comparison td[data-runs]").first.hover()
    tab.locator(".pair-column").dispatch_event("change")
    assert dialogs == []
    texts = tab.locator("table.differences tbody, .baseline").all_inner_texts()
    assert name in " ".join(texts)
    tab.close()


def test_a_served_page_loads_again_when_records_have_changed(browser):
    versions, lines = ["a"], []
    ended = threading.Event()

    def make():
        return f'<html><body data-refresh="1"><p>{versions[-1]}</p></body></html>'

    def version():
        if ended.is_set():
            raise KeyboardInterrupt
        return versions[-1]

    def serve():
        with contextlib.suppress(KeyboardInterrupt):
            page_server.serve(make, version, port=0, say=lines.append, seconds=0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while not lines:
            assert thread.is_alive()
        tab = browser.new_page()
        tab.goto(lines[0].split()[0])
        assert tab.locator("p").inner_text() == "a"
        versions.append("b")
        # asked from outside: to a browser's polling the promise of an answer is true already
        address, last = lines[0].split()[0], time.monotonic() + made.HANGS
        while urllib.request.urlopen(f"{address}version", timeout=made.HANGS).read() != b"b":
            assert time.monotonic() < last
        tab.reload()
        assert tab.locator("p").inner_text() == "b"
        tab.close()
    finally:
        ended.set()
        thread.join()
