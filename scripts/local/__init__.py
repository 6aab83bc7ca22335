"""All of Parley on one machine: `python -m scripts.local run`."""
