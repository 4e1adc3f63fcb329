"""Requests over HTTP: paths and media types, reads, watches, tables and subresources."""
