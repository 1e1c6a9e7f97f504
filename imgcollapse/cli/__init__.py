"""What only a terminal sees: the commands, a file each, their options, bars and tables."""
