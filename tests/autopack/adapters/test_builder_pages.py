"""Every Builder has a page, and the pages lead to where they say."""

import re
from pathlib import Path

import pytest

from autopack.adapters.agents.presets import PRESETS
from autopack.adapters.builders.registry import KINDS

DOCS = Path(__file__).parents[3] / "docs"
NAMES = sorted({*PRESETS, *(kind.partition(":")[0] for kind in KINDS)} - {"acp", "cli"})


@pytest.mark.parametrize("name", NAMES)
def test_every_builder_has_a_page_with_its_cost_and_its_traps(name):
    text = (DOCS / "builders" / f"{name}.md").read_text()
    assert f":{name}" in text or f"`{name}:" in text
    assert "an empty attempt" in text
    assert "Traps:" in text
    assert f"builders/{name}.md" in (DOCS / "builders.md").read_text()


@pytest.mark.parametrize("name", [*NAMES, "agents"])
def test_a_page_leads_to_pages_and_headings_that_are_there(name):
    page = DOCS / "builders" / f"{name}.md"
    for target, heading in re.findall(r"\]\(([\w./-]+\.md)(?:#([\w-]+))?\)", page.read_text()):
        found = (page.parent / target).read_text()
        headings = re.findall(r"^#+ (.+)$", found, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", it).strip().lower().replace(" ", "-") for it in headings}
        assert not heading or heading in slugs, (target, heading)
