"""`inhaul image`."""
