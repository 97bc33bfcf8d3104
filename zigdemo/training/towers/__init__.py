"""Training of the text and image towers and of the attribute judge."""
