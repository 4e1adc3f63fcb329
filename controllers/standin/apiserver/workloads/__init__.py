"""Simulated workloads: what controllers and kubelets would do to Deployments, Jobs and their pods."""
