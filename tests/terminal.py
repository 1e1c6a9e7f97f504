"""The command line as a user has it, in this process."""

from click.testing import CliRunner, Result

from imgcollapse.cli import main as cli


def call(*arguments: object, env: dict[str, str] | None = None, charset: str = "utf-8") -> Result:
    """`imgcollapse` with these arguments."""
    return CliRunner(charset=charset).invoke(cli.main, [str(one) for one in arguments], env=env, prog_name="imgcollapse")


def done(*arguments: object, charset: str = "utf-8") -> Result:
    """The same, where it must not fail."""
    result = call(*arguments, charset=charset)
    assert result.exit_code == 0, result.output
    return result
