"""Links between the repository's documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)|(?:href|src)=\"([^\"]+)\"", re.MULTILINE)


def links(text: str) -> list[str]:
    """Paths of relative links, inline, by reference or in HTML, without their anchors; none of a code block."""
    found = [urlsplit(next(filter(None, match))) for match in LINK.findall(FENCED.sub("", text))]
    return [unquote(link.path) for link in found if not link.scheme and not link.netloc and link.path]


def test_links_of_every_form_are_found() -> None:
    text = (
        '[a](one.md#part) ![b](two.png "B") [c](https://example.org/x) [d](#here)\n[e]: three.md\n<img src="four.png">'
    )
    assert links(text + "\n```\n[f](five.md)\n```\n") == ["one.md", "two.png", "three.md", "four.png"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [link for link in links(text) if not (document.parent / link).exists()] == []
