"""What the ledger's documents mean: findings, and how hosts stand against what is wanted of them."""
