"""Results → typed blocks → one HTML file that opens from disk, in mail and behind a strict CSP.

`page.render` and `page.build` write a run's page, `site` publishes pages, `summary` writes results for a terminal and
for Markdown. Sections are plugins on the hook `harness_report_sections`; they yield `blocks` and no HTML.
"""
