"""The ledger of the queue: how many stages and tasks are in which state, as sums over few rows."""
