"""One grader for rewards and evaluation, and the statistics of its scores."""
