"""The figures that the project promises, each measured by a module of its own: `python -m benchmarks.NAME`."""
