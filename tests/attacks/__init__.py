"""What a tenant may try, and what refuses it. docs/security.md is the list."""
