"""A report in forms other than the page: for a terminal, as Markdown and as JSON."""
