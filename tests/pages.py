"""The fenced blocks of the documentation's pages."""

import re
from pathlib import Path
from typing import NamedTuple


class Block(NamedTuple):
    """A fenced block of a page: its language, the file name in its first line if it has one, and its text."""

    language: str
    name: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    names = [re.match(r"# (\S+\.py)\n", text) for _, text in found]
    return [Block(language, name[1] if name else "", text) for (language, text), name in zip(found, names, strict=True)]


def block_of(page: Path, language: str, word: str = "") -> str:
    """The text of the one block in this language that has the word."""
    (text,) = [block.text for block in blocks(page) if block.language == language and word in block.text]
    return text
