"""Gradescope: submission_12345/… and submission_metadata.yml, which says whose each folder is.

No page of Gradescope's describes that file; public programs that read it agree on it. Its keys are
Ruby's symbols, such as ":submitters".
"""

from coursekit.classroom.handin import Item, Student
from coursekit.files import BookError

METADATA = "submission_metadata.yml"


def gradescope(download):
    about = next((found for found in download.files if found.name == METADATA), None)
    if about is None:
        return
    base, known = about.parts[:-1], metadata(about)
    empty = dict(known)
    for found in download.files:
        inside = found.parts[len(base) :]
        if found.parts[: len(base)] == base and inside[0] in known and len(inside) > 1:
            empty.pop(inside[0], None)
            for student, when in known[inside[0]]:
                yield Item(student, inside[1:], found, when=when)
    for student, when in (pair for pairs in empty.values() for pair in pairs):
        yield Item(student, (), None, when=when)


def metadata(found):
    """{folder: pairs of Student and time} of Gradescope's file."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        """Takes what Ruby marks as its own for what it looks like, and makes nothing of it."""

    def plain(loader, _, node):
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    Loader.add_multi_constructor("!ruby/", plain)
    try:
        content = yaml.load(found.read(), Loader)  # a safe one
        return {
            str(folder): [
                (
                    Student(*(str(who.get(f":{key}") or "") for key in ("name", "sid", "email"))),
                    str(about.get(":created_at") or ""),
                )
                for who in about[":submitters"]
            ]
            for folder, about in content.items()
        }
    except (yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise BookError(f"{found.path} is not as Gradescope writes it") from None
