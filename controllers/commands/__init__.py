"""The commands that serve every kind: get, tree, trace, why, reconcile, suspend, resume."""
