"""The worker process around its tasks: its start and end, its pulse, its models, its figures."""
