"""Inhaul: secrets and image automation for GitOps on EKS."""

__version__ = "0.1.0"
