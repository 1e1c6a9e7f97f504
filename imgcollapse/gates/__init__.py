"""Gates: what samples go through between drawing and learning. To add one, write a class and add its line to the table."""

from typing import TYPE_CHECKING

from imgcollapse.gates.admitted import Admitted, admitted, candidates, drawn_anew, published, refuse_stream
from imgcollapse.gates.curate import Curate
from imgcollapse.gates.detect import Detect
from imgcollapse.gates.gate import Detecting, Gate, Marking
from imgcollapse.gates.measured import RunGates
from imgcollapse.gates.watermark import Watermark
from imgcollapse.settings import one_of

__all__ = [
    "GATES",
    "Admitted",
    "AnyGate",
    "Curate",
    "Detect",
    "Detecting",
    "Gate",
    "Marking",
    "RunGates",
    "Watermark",
    "admitted",
    "candidates",
    "drawn_anew",
    "published",
    "refuse_stream",
]

GATES: dict[str, type[Gate]] = {
    "curate": Curate,
    "watermark": Watermark,
    "detect": Detect,
}

if TYPE_CHECKING:
    AnyGate = Gate
else:
    AnyGate = one_of(GATES)  # built from the table, which a type checker cannot follow
