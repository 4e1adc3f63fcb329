"""Stand-ins of the outside systems: Git over https and ssh, an OCI registry, AWS. For trying and testing only."""
