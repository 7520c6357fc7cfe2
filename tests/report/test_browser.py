"""A report in a browser: nothing is asked for, nothing goes wrong. Run by ``make test-browser``."""

import shutil
import subprocess
from pathlib import Path

import pytest
from rule_cases import residual

import snnmap
from snnmap.report import format_report

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: install it, such as with: apt-get install chromium"),
]


def open_page(text: str, folder: Path) -> tuple[str, list[str]]:
    """Give the page as the browser understood it, and what its console says."""
    (folder / "page.html").write_text(text)
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}")
    command = [str(CHROMIUM), *options, "--dump-dom", (folder / "page.html").as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def test_the_console_stays_silent(tmp_path: Path) -> None:
    page = format_report(snnmap.compile_model(residual(), "xylo-audio-3"))
    shown, console = open_page(page, tmp_path)
    assert shown.count("<section") == page.count("<section") > 5
    assert not console


def test_what_would_be_fetched_is_refused_and_told(tmp_path: Path) -> None:
    page = format_report(snnmap.compile_model(residual(), "xylo-audio-3"))
    _, console = open_page(page.replace("</body>", "<img src='http://localhost:1/x.png'></body>"), tmp_path)
    assert any("Content Security Policy" in line for line in console)
