"""The picture of a page in docs/page.md: the top of a report, as a browser shows it.

python scripts/page_picture.py REPORT.html      writes docs/report.png

Needs the extra `e2e` and a Chromium (IMGCOLLAPSE_CHROMIUM, or the one that is found).
"""

import os
import shutil
from pathlib import Path

import click
from playwright.sync_api import sync_playwright

TARGET = Path(__file__).resolve().parent.parent / "docs" / "report.png"
SIZE = {"width": 1280, "height": 1500}


@click.command()
@click.argument("page", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(page: Path) -> None:
    """Takes the picture."""
    chromium = os.environ.get("IMGCOLLAPSE_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        shown.goto(page.absolute().as_uri())
        shown.screenshot(path=TARGET)
        browser.close()
    click.echo(TARGET)


if __name__ == "__main__":
    main()
