"""Whether a page loads anything from anywhere."""

import re
from html.parser import HTMLParser


class Addresses(HTMLParser):
    """What a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        self.found += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "action")]
        assert not any(name.startswith("on") for name, _ in attributes)


def loads_nothing(page: str) -> bool:
    """Whether everything that a page shows stands in it."""
    reader = Addresses()
    reader.feed(page)
    styles = re.findall(r"url\(|@import", page[: page.index("</style>")])
    return not styles and all(address.startswith("data:image/png;base64,") for address in reader.found)
