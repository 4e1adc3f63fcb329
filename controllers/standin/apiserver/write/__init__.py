"""From a request's body to a stored object: the rules of create, update, patch, apply and delete."""
