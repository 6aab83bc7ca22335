"""What Parley tells those who run it: logs, metrics, traces."""
