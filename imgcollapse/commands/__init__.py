"""What the commands of `imgcollapse.cli` do: a file a command, imported when it is called."""
