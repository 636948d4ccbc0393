"""Asking instruments in time: a pure schedule and a thin loop a line."""
