"""Bodies of requests and answers: models of what is sent and what comes back, and rows turned into them."""
