"""What a handout has in the place of the book: `handout.py` puts it there."""
