"""What people look at after a run: numbers gathered in a stream, drawn as SVG, set into one page."""
