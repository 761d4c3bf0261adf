"""A page as a tree, read by the standard library's HTML parser: what a browser would show, for tests that compare it with files."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link", "base"}


@dataclass
class Node:
    """An element: its tag, attributes, and what it holds, in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list["Node | str"] = field(default_factory=list)

    def all(self, tag: str = "", kind: str = "") -> Iterator["Node"]:
        """Elements below this one, of a tag and a class where these are given."""
        for child in self.inside:
            if isinstance(child, Node):
                if tag in ("", child.tag) and (not kind or kind in child.attributes.get("class", "").split()):
                    yield child
                yield from child.all(tag, kind)

    def one(self, tag: str, kind: str = "") -> "Node":
        """The only element of a tag (and class)."""
        found, = self.all(tag, kind)
        return found

    @property
    def text(self) -> str:
        """All words, white space made one blank; without tooltips."""
        return " ".join(self.raw().split())

    def raw(self) -> str:
        """All words as they stand."""
        return "".join(c if isinstance(c, str) else c.raw() for c in self.inside if isinstance(c, str) or c.tag not in ("title", "style"))

    def titles(self, kind: str, tag: str = "") -> list[str]:
        """The tooltips of elements of a class."""
        return [t.raw_title() for e in self.all(tag, kind) for t in e.all("title")]

    def raw_title(self) -> str:
        """The words of a tooltip."""
        return "".join(c for c in self.inside if isinstance(c, str))

    def number(self, name: str) -> float:
        """An attribute as a number."""
        return float(self.attributes[name])

    def facts(self) -> dict[str, str]:
        """The terms of all lists of facts below, and what stands behind each."""
        return {d.one("dt").text: d.one("dd").text for dl in self.all("dl", "facts") for d in dl.all("div")}

    def rows(self) -> list[list[str]]:
        """The cells of a table's body."""
        return [[cell.text for cell in row.all("td")] for row in self.one("tbody").all("tr")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {k: v or "" for k, v in attrs})
        assert len(node.attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self.open[-1].inside.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Node(tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read_page(text: str) -> Node:
    """The tree. Every element that is opened is closed, every picture is well-formed XML."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    page, = reader.open
    for piece in text.split("<svg")[1:]:
        ET.fromstring("<svg" + piece.partition("</svg>")[0] + "</svg>")
    return page


def sections(page: Node) -> dict[str, list[Node]]:
    """What stands below each heading of the second order, by the heading's id."""
    found: dict[str, list[Node]] = {}
    here: list[Node] = []
    for child in page.one("main").inside:
        if isinstance(child, Node):
            here = found.setdefault(child.attributes.get("id", child.text), []) if child.tag == "h2" else here
            here.append(child)
    return found


def is_safe(page: Node) -> None:
    """Nothing is asked for, nothing runs, and no character turns, hides or forges what a reader sees."""
    assert not {e.tag for e in page.all()} & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "audio", "video", "foreignobject", "use", "image", "animate"}
    for element in page.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name not in ("src", "srcset", "action", "xlink:href", "data", "style"), (element.tag, name)
            assert name != "href" or value.startswith("#"), value
            assert name == "content" or "url(" not in value
    policy, = [m for m in page.all("meta") if m.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"].startswith("default-src 'none'")
    for style in page.all("style"):
        assert "url(" not in style.raw_title() and "@import" not in style.raw_title()
    words = "".join(c for e in page.all() for c in [*e.inside, *e.attributes.values()] if isinstance(c, str))
    odd = sorted({c for c in words if not c.isprintable() and c not in "\n\u2002\u00a0"})
    assert not odd, odd
