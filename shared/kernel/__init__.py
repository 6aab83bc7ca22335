"""The kernel: jobs, their stages, and the leases by which workers take them. Start at jobs.py."""
