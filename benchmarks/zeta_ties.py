"""ζ of the study of angular dependence, with the mean over equally near atoms beside the recorded values.

The results in docs/results were computed when ζ took one of several equally near atoms, by rounding. Here ζ of the
same densities is computed as it is defined now (:mod:`charge3net.analysis.angular`), and Spearman's ρ(ζ, gain) with it
from the recorded gains.

    python -m data_prep.bundles.unpack benchmark_set -o .cache/bench
    python -m data_prep.bundles.unpack distorted_set -o .cache/distorted
    python -m benchmarks.zeta_ties .cache/bench/store .cache/distorted/store [--out results/zeta_ties.json]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.record import ROOT, circumstances, write_result
from charge3net.analysis.angular import angular_variation
from charge3net.data.store import Store

#: Results and the materials of them that are compared, in the order of the stores.
STUDIES = ("angular_dependence", "angular_dependence-distorted_crystals")


def main() -> int:
    """Compute, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs=2, type=Path, metavar="STORE", help="of benchmark_set and of distorted_set")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "zeta_ties.json")
    args = parser.parse_args()
    compared = {name: compare(name, Store(store)) for name, store in zip(STUDIES, args.stores, strict=True)}
    for name, found in compared.items():
        print(name, *(f"{key} {value:.4g}" for key, value in found.items()))
    write_result(args.out, {"circumstances": circumstances(("numpy", "scipy")), "studies": compared})
    return 0


def compare(study: str, store: Store) -> dict[str, float]:
    """Changes of ζ, and ρ(ζ, gain) before and after, over the crystals of a study."""
    result = json.loads((ROOT / "docs" / "results" / study / "result.json").read_text(encoding="utf-8"))["result"]
    materials: list[dict[str, Any]] = [m for m in result["materials"] if m["kind"] in ("crystals", "materials")]
    before = np.array([material["zeta"] for material in materials])
    gains = [np.mean(material["low"]) - np.mean(material["high"]) for material in materials]
    after = np.array(
        [angular_variation(store[material["key"]].density(), result["distance"]) for material in materials]
    )
    change = np.abs(after - before)
    return {
        "crystals": len(materials),
        "median_change": float(np.median(change)),
        "largest_change": float(change.max()),
        "changed_by_0.001": int((change > 1e-3).sum()),
        "rho_before": float(spearmanr(before, gains)[0]),
        "rho_after": float(spearmanr(after, gains)[0]),
    }


if __name__ == "__main__":
    sys.exit(main())
