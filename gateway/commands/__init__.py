"""A file a verb of the command `parkgate`."""
