"""A page of ours taken apart, and a browser to look at it where the machine has one."""

import shutil
from html.parser import HTMLParser

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
        if (path := shutil.which(name))
    ),
    None,
)
_VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The elements and the texts of a page; refuses unbalanced tags.

    Attributes:
        elements: Tag and attributes of each, in order.
        text: What stands between tags, in order.
        texts: The same by the tag around it.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def all(self, name: str) -> list[str]:
        """Every value of one attribute."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]
