"""Making it happen: operations, leases, clock, dispatch."""
