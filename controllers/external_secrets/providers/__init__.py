"""Secret services. Each is a folder here that implements `provider.Provider`, and a line in `registry`."""
