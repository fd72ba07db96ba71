"""Web pages of one file, that need neither a network nor a server."""
