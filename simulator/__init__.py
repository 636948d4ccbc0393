"""Instruments that are not there, and a platform that keeps the books."""
