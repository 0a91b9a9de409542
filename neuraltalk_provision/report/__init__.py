"""Renders runs: curves in a terminal, figures as SVG, and an HTML page. Pure."""
