"""The documents point at things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/README.md"), *ROOT.glob("*/README.md")]
)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]+)?\)")
PROOF = re.compile(r"`((?:tests|service/tests|molecule|\.github)/[\w./-]+?)(?:::(\w+))?`")


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        place = (document.parent / target).resolve() if target else document
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            broken.append(target + anchor)
    assert broken == []


def test_every_row_of_the_checklist_is_proven_by_something_that_exists() -> None:
    text = (ROOT / "docs/checklist.md").read_text(encoding="utf-8")
    missing = []
    for file, test in PROOF.findall(text):
        path = ROOT / file
        if "*" not in file and (not path.exists() or (test and f"def {test}(" not in path.read_text(encoding="utf-8"))):
            missing.append(f"{file}::{test}")
    assert missing == []
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| item", "| level"))]
    unproven = [row for row in rows if "`" not in row.split("|")[-2] and not row.startswith(("| problem", "| part"))]
    assert unproven == []
