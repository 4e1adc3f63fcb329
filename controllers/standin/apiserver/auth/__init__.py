"""Who asks and what they may do: tokens, RBAC, impersonation and access reviews."""
