"""Checking answers: the cases, the verdict, hints and progress, nbval, the reader's own GPT."""
