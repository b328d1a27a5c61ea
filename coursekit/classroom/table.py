"""A table as CSV, in any of the forms in which spreadsheets and gradebooks write it."""

import csv
import io
import unicodedata

from coursekit.files import BookError, write


def read_table(path):
    """The text of a CSV file, its delimiter and its rows.

    Raises:
        BookError: there is none, or it is not a table.
    """
    try:
        data = path.read_bytes()
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = data.decode("utf-16" if utf16 else "utf-8")
        first = text.lstrip("\ufeff").partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        lines = io.StringIO(text.lstrip("\ufeff"), newline="")
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except OSError as error:
        raise BookError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BookError(f"{path} is not UTF-8: export it again, or save it as CSV UTF-8") from None
    except csv.Error as error:
        raise BookError(f"{path} is not a CSV file: {error}") from None
    if not rows or len(rows[0]) < 2:
        raise BookError(f"{path} is not a table with headings")
    return text, delimiter, rows


def write_table(path, rows, delimiter, mark):
    """Write rows as CSV.

    Args:
        mark: whether it begins with a byte order mark, as some spreadsheets want it.
    """
    table = io.StringIO()
    csv.writer(table, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    write(path, "\ufeff" * mark + table.getvalue())


def letters(text):
    """A heading as it is compared."""
    return "".join(c for c in text.casefold() if c.isalnum())


def number_in(text):
    """The number that a text says, or None."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def ways_to_write(name):
    """A name as it is compared: "Ana Ruiz" is "Ruiz, Ana", and the "ruizana" of Canvas's files."""
    name = unicodedata.normalize("NFC", name)
    parts, orders = name.split(), [name]
    if "," not in name and len(parts) > 1:  # which of its parts come first elsewhere, nobody knows
        orders += [" ".join(parts[1:] + parts[:1]), " ".join(parts[-1:] + parts[:-1])]
    return {letters(order) for order in orders} - {""}
