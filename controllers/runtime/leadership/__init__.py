"""One active replica: leases, elections, and the check at start that no upstream controller owns our kinds."""
