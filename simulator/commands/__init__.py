"""The simulator's verbs of the command `parkgate`."""
