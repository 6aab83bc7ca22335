"""Benches of the lease kernel and of PostgreSQL below it: long queues, large fleets, deep histories."""
