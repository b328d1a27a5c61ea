"""A text file of any length, read part by part. Written by hand."""

import codecs
import shutil
import stat
import tempfile
from pathlib import Path

from numpygpt.cli.errors import UsageError

PART = 1 << 20  # bytes read at a time


class TextFile:
    """The text of a UTF-8 file: `for part in text` reads it once more, part by part.

    A mark of byte order at its beginning is no text, and a line break of Windows is one character.
    Parts end where a word does, before white space: there every tokenizer can be cut.

    Args:
        anywhere: parts may end anywhere: enough for single characters.
    """

    def __init__(self, path, anywhere=False):
        self.path, self.anywhere = Path(path), anywhere
        try:
            self.file = open(path, "rb")
        except FileNotFoundError:
            raise UsageError(
                f"{path} does not exist: name a text file, or run in the project's folder"
            ) from None
        kind = self.path.stat().st_mode
        if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
            self.file.close()
            raise UsageError(f"{path} is a device, not a text file")
        if not self.file.seekable():  # a pipe can be read only once: we keep what comes out of it
            pipe, self.file = self.file, tempfile.TemporaryFile()
            shutil.copyfileobj(pipe, self.file)
            pipe.close()
        self.size = self.file.seek(0, 2)  # in bytes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __iter__(self):
        self.file.seek(0)
        rest = ""
        for text in self.decoded():
            text = rest + text
            cut = len(text) if self.anywhere else end_of_word(text)
            if cut:
                yield text[:cut]
            rest = text[cut:]
        if rest:
            yield rest

    def decoded(self):
        """Yield the text of some bytes at a time, wherever that cuts it."""
        decoder, done, held = codecs.getincrementaldecoder("utf-8")(), 0, ""
        begun = False
        while True:
            content = self.file.read(PART)
            start = done - len(decoder.getstate()[0])  # of the character that was cut in two
            try:
                text = decoder.decode(content, final=not content)
            except UnicodeDecodeError as error:
                raise UsageError(
                    f"{self.path} is not UTF-8 text (byte {start + error.start})"
                ) from None
            if text and not begun:
                text, begun = text.removeprefix("\ufeff"), True
            # A return at the end may be the first half of a line break.
            text = held + text
            held = "\r" if content and text.endswith("\r") else ""
            yield text.removesuffix(held).replace("\r\n", "\n")
            if not content:
                return
            done += len(content)


def end_of_word(text):
    """Return where the last word ends that has white space after it: a space or a line break."""
    cut = len(text)
    while cut > 0:
        cut = max(text.rfind(" ", 0, cut), text.rfind("\n", 0, cut))
        if cut > 0 and not text[cut - 1].isspace():
            return cut
    return 0


def up_to(parts, length):
    """Yield the first `length` characters of a text in parts."""
    for part in parts:
        if length <= 0:
            return
        yield part[:length]
        length -= len(part)


def beyond(parts, length):
    """Yield what comes after the first `length` characters."""
    for part in parts:
        if length < len(part):
            yield part[max(length, 0) :]
        length -= len(part)
