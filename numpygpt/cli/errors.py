"""What the commands raise for a user's mistake. Written by hand."""


class UsageError(Exception):
    """A mistake of the user's: the program prints this one line and ends with exit code 2."""
