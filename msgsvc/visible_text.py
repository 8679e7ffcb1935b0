"""Which characters of a text a reader can see."""

import re
import unicodedata

_INVISIBLE = (
    "\\s\x00-\x1f\x7f-\xa0\u2800\ufff9-\ufffb\U00013441\U00013442\U00016fe4\U0001d159"
    # Unicode's property Default_Ignorable_Code_Point:
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Blanks, control characters and characters without a glyph, for a class of a regular expression."""

_VISIBLE_CHARACTER = re.compile(f"[^{_INVISIBLE}]")
_INVISIBLE_BUT_SPACE = re.compile(f"(?! )[{_INVISIBLE}]")


def is_blank(text: str) -> bool:
    """Whether the text has no visible character."""
    return _VISIBLE_CHARACTER.search(text) is None


def is_readable(name: str) -> bool:
    """Whether every character of a name is visible, except spaces inside it, and no combining mark follows a space."""
    if name != name.strip() or _INVISIBLE_BUT_SPACE.search(name) or not name.isprintable():
        return False
    return not any(
        unicodedata.category(character).startswith("M") and previous == " "
        for previous, character in zip(" " + name, name, strict=False)
    )
