"""`inhaul secrets`."""
