"""Several processes that are one gateway: they share its port, its metrics and its limits (API_PROCESSES)."""
