"""An address space that is asked question by question, without a server; it keeps to the limits that it tells."""

from parkgate.drivers.opcua.space import BROWSE_NAME, DATA_TYPE, DISPLAY_NAME, VALUE, Answer, Child, Limits, Page

UNKNOWN = {"status": 0x8034_0000, "said": "BadNodeIdUnknown"}
CROWDED = {"status": 0x804B_0000, "said": "BadNoContinuationPoints"}


class AskedSpace:
    """`below` holds the children of each node, `attributes` answers by node and attribute, `above` nodes by node.

    `page` is how many children come at once; who asks for more than the limits allow fails.
    """

    def __init__(self, below, attributes=None, *, above=None, page=1_000, limits=None):
        self.below, self.attributes, self.above = below, attributes or {}, above or {}
        self._page, self._limits = page, limits or Limits()
        self.browsed, self.read_ = [], []
        self.closed = {}

    async def limits(self):
        return self._limits

    async def browse(self, nodes, *, up=False):
        assert 1 <= len(nodes) <= (self._limits.browse or 1_000)
        if up:
            return [Page(tuple(Child(each, each) for each in self.above.get(node, ()))) for node in nodes]
        self.browsed += nodes
        pages, held = [], 0
        for node in nodes:
            page = self._at(node, 0)
            held += bool(page.more)
            pages.append(Page(**CROWDED) if page.more and held > (self._limits.continued or 1_000) else page)
        return pages

    async def more(self, points):
        return [self._at(*bytes.fromhex(each).decode().rsplit("|", 1)) for each in points]

    def _at(self, node, begin):
        if node in self.closed:
            return Page(status=0x801F_0000, said="BadUserAccessDenied")
        if node not in self.below:
            return Page(**UNKNOWN)
        begin = int(begin)
        end = begin + self._page
        children = self.below[node]
        return Page(tuple(children[begin:end]), f"{node}|{end}".encode().hex() if end < len(children) else "")

    async def read(self, questions):
        assert 1 <= len(questions) <= (self._limits.read or 1_000)
        self.read_.append(len(questions))
        return [self._attribute(*each) for each in questions]

    def _attribute(self, node, attribute):
        if (node, attribute) in self.attributes:
            return self.attributes[node, attribute]
        if attribute in {BROWSE_NAME, DISPLAY_NAME} and node in self.below:
            return Answer(node, "String")
        return Answer(**UNKNOWN) if node not in self.below else Answer(status=0x8035_0000, said="BadAttributeIdInvalid")


def variable(node, title=""):
    return Child(node, node.rpartition("=")[2].rpartition(".")[2], title, "variable")


def folder(node):
    return Child(node, node.rpartition("=")[2].rpartition(".")[2])


def holding(node, value=2.5, kind="Double", declared="i=11", **more):
    """Give the attributes of a variable."""
    return {(node, VALUE): Answer(value, kind, **more), (node, DATA_TYPE): Answer(declared, "NodeId")}
