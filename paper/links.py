"""Where the links of a page lead on paper: into the book, or to the repository's address."""

from prepare import NAMED

from paper.tree import changed, element, link


class Links:
    """The targets that a book has, and the address for the rest.

    Args:
        root: of the repository.
        facts: they know the address of a file on the web.
        pages: those of the book.
    """

    def __init__(self, root, facts, pages):
        self.root = root.resolve()
        self.facts = facts
        self.marks = {page.path: page.mark for page in pages}

    def mend(self, page):
        """Give the links of a page, and of its answers, their targets."""

        def mended(node):
            if node["t"] == "Link":
                target = self.target(page, node["c"][2][0])
                return [link(node["c"][1], target, node["c"][0][1])]
            if node["t"] == "Code":  # a guide that is named as a file
                if (found := NAMED.fullmatch(f"`{node['c'][1]}`")) and found[1] in self.marks:
                    return [link([node], f"#{self.marks[found[1]]}")]
            return None

        page.blocks = changed(page.blocks, mended)
        page.answers = changed(page.answers, mended)

    def target(self, page, target):
        if target.startswith(("#", "http://", "https://")):
            return target
        path = (self.root / page.path).parent.joinpath(target.partition("#")[0]).resolve()
        if not path.is_relative_to(self.root) or not path.exists():
            raise ValueError(f"{page.path}: a link leads to {target}, which is not there")
        name = path.relative_to(self.root).as_posix()
        return f"#{self.marks[name]}" if name in self.marks else self.facts.at(name)


def numbered(page, level, number=None):
    """Give the sections of a page names, and numbers below `number`; the first level is `level`."""
    count = section = 0

    def renamed(node):
        nonlocal count, section
        if node["t"] != "Header":
            return None
        count += 1
        own, (_, classes, pairs), inlines = node["c"]
        if own == 2 and number is not None:
            section += 1
            inlines = [element("Str", f"{number}.{section}\u2002"), *inlines]
        name = [f"{page.mark}-{count}", classes, pairs]
        return [element("Header", own - 2 + level, name, inlines)]

    page.blocks = changed(page.blocks, renamed)
