"""The log of a run, metrics.jsonl: written line by line, read back. Derived in chapter 16."""

import json
from pathlib import Path

from numpygpt.data import write_beside


def record_of(line):
    """Return the record in a line of metrics.jsonl; None if it was cut short or damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested without end
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def read_metrics(path):
    """Return the records of metrics.jsonl; a line that is not a record is skipped."""
    return [record for record in map(record_of, Path(path).read_bytes().splitlines()) if record]


class MetricsLog:
    """Appends each record to metrics.jsonl at once, as a line of JSON; a killed run keeps them."""

    def __init__(self, path, steps_done=0):
        """Open the log of a run that has done `steps_done` steps; later lines are dropped."""
        path = Path(path)
        kept = [r for r in read_metrics(path) if r["step"] <= steps_done] if path.exists() else []
        text = "".join(json.dumps(r) + "\n" for r in kept)
        write_beside(path, lambda beside: beside.write_text(text, encoding="utf-8"))
        self.file = open(path, "a", encoding="utf-8")

    def write(self, record):
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()

    def close(self):
        self.file.close()
