"""All that exists because there are several runs: the grid, its runs and who carries them out, how far they are, what they say together."""
