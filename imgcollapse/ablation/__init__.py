"""All that exists because there are several runs: the grid, its runs and who executes them, how far they are, what they say together."""
