"""The book on paper: PDF and EPUB, made of what is committed. `make book`; see README.md here."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.append(str(ROOT / "site"))  # prepare.py reads the same chapters
