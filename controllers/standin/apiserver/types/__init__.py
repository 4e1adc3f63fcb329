"""Which resource types there are, and how clients discover them."""
