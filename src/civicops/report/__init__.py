"""Reports: pages made from the ledger alone. Nothing here asks a host, and every text of a host's is escaped."""
