"""Other people's files, in and out: sets of pictures that any program drew, formats that other programs read, cards for hubs."""
