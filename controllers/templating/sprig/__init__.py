"""Sprig's functions, a module per family. `sets` puts them together."""
