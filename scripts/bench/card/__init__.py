"""Ten minutes with an NVIDIA card: which of the paths over it work. `python -m scripts.bench.card`."""
