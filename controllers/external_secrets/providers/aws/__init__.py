"""What Secrets Manager and Parameter Store share: stores of `spec.provider.aws`, identities, ARNs, errors, prices."""
