"""The way of a recording into Parley: its bytes or its URL, the fields beside it, and the job made of them."""
