"""Text of a server made legible, pure: some send GB 18030 where the standard asks for UTF-8."""

from __future__ import annotations


def legible(text: str | None) -> str:
    """Give a text as people read it; bytes that are of no known encoding become question marks.

    The library hands on bytes that are not UTF-8 as lone surrogates.
    """
    if text is None:
        return ""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeError:
        return text.encode("utf-8", "replace").decode()
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeError:
            continue
    return raw.decode("ascii", "replace").replace("�", "?")
