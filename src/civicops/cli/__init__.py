"""The `civicops` command: arguments and printing only. Heavy imports stand in the commands that use them."""
