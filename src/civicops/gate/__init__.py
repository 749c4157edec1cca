"""The gate: the one authority over work that disturbs people. It opens a host, or says why not and when next."""
