"""Figures as SVG, drawn in Python: no script, no style attribute, themable, printable, in two layouts."""
