"""Results → typed blocks → one HTML file that opens from disk, in mail and behind a strict CSP.

`page` writes a run's page, `writers` the same for a terminal, as Markdown and as JSON. Sections are plugins on the hook
`harness_report_sections`; they yield blocks (`harness.blocks`) and no HTML.
"""
