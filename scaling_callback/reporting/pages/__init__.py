"""The report: gathered once as plain data, and written as HTML, Markdown or JSON."""
