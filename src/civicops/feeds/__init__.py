"""Feeds: public data on vulnerabilities and life cycles, imported once into one local index."""
