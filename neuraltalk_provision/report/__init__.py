"""Records as pictures: curves in a terminal, figures as SVG, a page of HTML. Pure rendering."""
