"""A static site of published runs: relative links only, works from disk and on any static host.

`staging` makes a run's folder as it is published, `compared` the pages of pairs, `index` the list of runs, `badge` a
verdict in one line; `plan` puts them together, says what would leave and writes it; `workflow` deploys the folder.
"""
