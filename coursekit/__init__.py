"""What builds the book, and the two functions that its notebooks call."""

from coursekit.notebook import add_to_class, export

__all__ = ["add_to_class", "export"]
