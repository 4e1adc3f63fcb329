"""Watching the API server: lists, watches, the resync that finds what a watch lost, and who is told of changes."""
