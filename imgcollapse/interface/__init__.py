"""What Python and the command line share: settings given as words, the work of each command, what is told of it, what was made."""
