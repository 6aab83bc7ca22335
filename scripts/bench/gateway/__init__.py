"""Benches of the gateway: requests, submissions, the memory of uploads."""
