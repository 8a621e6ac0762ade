"""A target in, a Trial out: attacks, the oracle they ask through, and the loop that runs them."""
