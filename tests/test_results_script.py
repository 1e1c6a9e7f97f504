"""The tables of docs/results, on an ablation written by hand."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COUNTS = [123, 88, 63, 45, 32, 23, 17, 12, 9, 6]  # of the bundled digits with imbalance 20


def test_shares_are_divided_by_the_true_shares_of_the_training_part(tmp_path: Path) -> None:
    """Twice the real share of class 8 with one seed and none with the other; real vs real says something else."""
    (tmp_path / "ablation.yaml").write_text("base: {dataset: {kind: digits, imbalance: 20}, model: gmm}\narms: {none: {}}\nseeds: 2\n")
    rows = ["arm,model,null,regime,seed,generation,extractor,metric,value,real,real_low,real_high,n"]
    for seed, times in ((0, 2.0), (1, 0.0)):
        for generation in (0, 1):
            shares = [count / 418 * (times if c == 8 and generation else 1) for c, count in enumerate(COUNTS)]
            rows += [
                f"none,gmm,,replace,{seed},{generation},classifier,share_{c},{share},0.5,0.4,0.6,418" for c, share in enumerate(shares)
            ]
    (tmp_path / "ablation.csv").write_text("\n".join(rows) + "\n")
    command = [sys.executable, str(ROOT / "scripts" / "results.py"), "classes", str(tmp_path), "--arm", "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Shares are of 418 pictures drawn."
    assert lines[4] == "| 0 | 29.4 % | 1.00 and 1.00 | 0 of 2 seeds |"
    cells = [cell.strip() for cell in lines[12].strip("|").split("|")]
    assert cells[:2] == ["8", "2.2 %"] and cells[2] == "2.00 and 0.00" and cells[3] == "1 of 2 seeds"
    assert len(lines) == 14 and lines[13].startswith("| 9 | 1.4 % | 1.00 ")
