"""Side-by-side measurements: how fast, how much memory, and how far from what the machine allows.

Every comparison checks first that its variants compute the same, then times them interleaved in one
run, and reports ratios round by round.
"""
