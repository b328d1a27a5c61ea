"""Questions that bring a chapter back to mind: read, spaced over days, asked, exported."""
