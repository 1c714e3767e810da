"""The report in Debian's Chromium, as somebody sees it who was sent the file."""

from pathlib import Path

import pytest
from client_browser import browser
from test_report import EVIL, report, sample

from bistable.tools.bringup.report import HTML_NAME, write_report


@pytest.mark.parametrize("size", [(1200, 900), (360, 740)], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_report_is_one_page_that_fits_the_screen_and_fetches_nothing(
    tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    write_report(report(sample()), tmp_path / "out")
    with browser(tmp_path / "profile", size=size, dark=dark) as driver:
        driver.get((tmp_path / "out" / HTML_NAME).as_uri())
        look = driver.execute_script(
            """
            const box = (selector) => document.querySelector(selector).getBoundingClientRect();
            return {
                title: document.title,
                wide: document.documentElement.scrollWidth,
                fetched: performance.getEntriesByType("resource").map((entry) => entry.name),
                rows: document.querySelectorAll("table tbody tr").length,
                drawn: [box("svg").width, box("svg").height],
                words: document.body.innerText,
                scripts: document.scripts.length,
            };
            """
        )
        said = driver.get_log("browser")
    assert said == []
    assert (look["fetched"], look["scripts"]) == ([], 0)
    assert "Acorn" in look["title"]
    assert look["wide"] <= size[0]
    assert look["rows"] >= 3
    assert min(look["drawn"]) > 50
    # What a board says is text, whatever it says.
    assert EVIL in look["words"]
