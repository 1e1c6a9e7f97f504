"""`python -m imgcollapse`."""

from imgcollapse.cli.main import main

main(prog_name="imgcollapse")
