"""The configurations that come with the package, by their names."""

from pathlib import Path

import pytest
from terminal import call, done

from imgcollapse.ablation.grid import Ablation
from imgcollapse.errors import SettingsProblem
from imgcollapse.interface import bundled
from imgcollapse.interface.ablating import ablation_from
from imgcollapse.interface.running import study_from

CONFIGS = Path(__file__).parent.parent / "configs"
NO_FILE = "there is no such file, nor a configuration of that name in the package; "


def test_every_file_has_its_name_and_is_what_its_command_takes() -> None:
    assert bundled.names() == {path.stem: path for path in sorted(CONFIGS.glob("*.yaml"))}
    for name, path in bundled.names().items():
        if "`imgcollapse ablate " in bundled.questions()[name]:
            assert ablation_from({"file": Path(name)}, (), ()) == ablation_from({"file": path}, (), ())
        else:
            assert study_from({"config": Path(name)}, ()) == study_from({"config": path}, ())


def test_list_shows_each_with_its_question() -> None:
    said = " ".join(done("list", "configs").stdout.split())
    assert "retention `imgcollapse ablate retention`: How much does a tenth of real data help," in said
    assert "mnist_ddpm `imgcollapse run --config mnist_ddpm`: How fast does a DDPM on MNIST forget" in said
    for path in CONFIGS.glob("*.yaml"):
        question = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# Question: ")
        assert " ".join(question.split()) in said


def test_a_file_of_the_user_comes_first() -> None:
    Path("retention").write_text("base: {model: gmm}\naxes: {samples: [50, 60]}\n")
    own = ablation_from({"file": Path("retention")}, (), ())
    assert isinstance(own, Ablation) and own.axes == {"samples": (50, 60)}
    assert done("ablate", "retention", "--dry-run").stdout.startswith("# runs/retention-")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["ablate", "nofile"], f"nofile: {NO_FILE}`imgcollapse list configs` shows those that there are"),
        (["ablate", "configs/retention.yaml"], f"configs/retention.yaml: {NO_FILE}did you mean 'retention'? "),
        (["run", "--config", "MNIST-ddpm"], f"MNIST-ddpm: {NO_FILE}did you mean 'mnist_ddpm'? "),
        (["run", "--config", "retention"], "retention: is an ablation, of several studies; `imgcollapse ablate retention` runs it"),
        (["ablate", "mnist_vae"], "mnist_vae: is one study and no ablation; `imgcollapse run --config mnist_vae` runs it"),
    ],
)
def test_another_name_is_told_what_there_is(command: list[str], told: str) -> None:
    wrong = call(*command)
    assert wrong.exit_code == SettingsProblem.exit_code and wrong.stderr.startswith(f"imgcollapse: {told}"), wrong.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("plugins: [own.py]", "base.plugins"),
        ("dataset: digits", "base.dataset"),
        ("gens: 3", "base.gens"),
        ("steps: 5", "base.model.steps"),
        ("modle: gmm", "models"),
    ],
)
def test_what_is_of_all_arms_is_told_to_belong_into_base(line: str, place: str) -> None:
    Path("own.yaml").write_text(f"{line}\narms: {{none: {{regime: replace}}}}\n")
    wrong = call("ablate", "own.yaml")
    said = f"imgcollapse: {line.partition(':')[0]}: there is no such setting; did you mean '{place}'? there are: arms, axes, base, "
    assert wrong.exit_code == SettingsProblem.exit_code and wrong.stderr.startswith(said), wrong.stderr
    wrong = call("run", "--config", "own.yaml")
    assert wrong.stderr.startswith("imgcollapse: own.yaml: is an ablation, of several studies; `imgcollapse ablate own.yaml` runs it")
