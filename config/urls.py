"""What the URLs of lines and brokers are made of. Pure."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"[A-Za-z0-9._:%-]+")


def split(url: str) -> SplitResult | None:
    """Split a URL; None if it is none, or its port is no number from 1 to 65535."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return None if port == 0 else parts


def plain(url: SplitResult) -> bool:
    """Tell whether a URL has a host, and neither a user, a query nor a fragment."""
    host = url.hostname or ""
    return bool(_HOST.fullmatch(host)) and "@" not in url.netloc and not url.query and not url.fragment


def without_user(url: str) -> str:
    """Leave out the user and password that someone wrote into a URL: messages end up in logs."""
    return re.sub(r"//[^/]*@", "//…@", url)
