"""The results of `benchmarks.claims` as tables and as a plot."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

FIRST = "zigzag-8"  # what everything is compared with: the ZigMa with this scheme and patch 2
BACKBONES, PATCHES = ("DiT", "DiG", "DiffuSSM"), ("patch 4", "patch 8")
COMPARISONS = ("Scan schemes of ZigMa", "Backbones", "Patch size of ZigMa")
FIRST_AS = dict(zip(COMPARISONS, (FIRST, f"ZigMa with {FIRST}", "patch 2"), strict=True))  # its name in each comparison


def comparisons(cases: list[str]) -> dict[str, list[str]]:
    """The cases of each comparison that have results, FIRST at the head."""
    schemes = [case for case in cases if case not in (*BACKBONES, *PATCHES)]
    others = [[FIRST, *(case for case in cases if case in group)] for group in (BACKBONES, PATCHES)]
    return dict(zip(COMPARISONS, [schemes, *others], strict=True))


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and standard deviation; 0 for one value."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def of(result: dict[str, Any], case: str, key: str) -> dict[int, float]:
    """A number of a case by seed."""
    return {run["seed"]: run[key] for run in result["runs"] if run["case"] == case}


def beyond(result: dict[str, Any], case: str) -> tuple[float, float] | None:
    """Mean and deviation over common seeds of the held-out loss relative to that of FIRST, in per cent.

    With one seed all schemes start from the same weights and get the same pictures and noise, so such pairs vary less
    than the losses themselves.
    """
    first, mine = of(result, FIRST, "held_out_loss"), of(result, case, "held_out_loss")
    both = sorted(first.keys() & mine.keys())
    return spread([100 * (mine[seed] / first[seed] - 1) for seed in both]) if both else None


def tables(result: dict[str, Any]) -> str:
    """Means and deviations over seeds, as Markdown; lowest loss first."""
    cases = list(dict.fromkeys(run["case"] for run in result["runs"]))
    lines = []
    for title, members in comparisons(cases).items():
        known = [case for case in members if case in cases]
        lines += ["", f"**{title}**", "", f"| | weights | seeds | held-out loss | beyond {FIRST_AS[title]} | "
                  "Frechet distance | s per step | MB per step |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
        for case in sorted(known, key=lambda case: statistics.mean(of(result, case, "held_out_loss").values())):
            loss = spread(list(of(result, case, "held_out_loss").values()))
            distance = spread(list(of(result, case, "frechet").values()))
            more = beyond(result, case)
            name = FIRST_AS[title] if case == FIRST else case
            lines.append(
                f"| {name} | {next(iter(of(result, case, 'weights').values())):,} | "
                f"{len(of(result, case, 'seed'))} | {loss[0]:.4f} ± {loss[1]:.4f} | "
                f"{'' if case == FIRST or more is None else f'{more[0]:+.2f} ± {more[1]:.2f} %'} | "
                f"{distance[0]:.0f} ± {distance[1]:.0f} | "
                f"{min(of(result, case, 'seconds_a_step').values()):.2f} | "
                f"{result['kilobytes'][case] / 1024:.0f} |"
            )
    floor = statistics.mean(run["frechet_floor"] for run in result["runs"])
    lines += ["", f"Floor of the Frechet distance on {result['features']}, real against real: {floor:.0f}."]
    return "\n".join(lines).strip()


def plot(result: dict[str, Any], path: Path) -> None:
    """The held-out loss of every network: one dot per seed, the mean as a line, one panel per comparison."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = list(dict.fromkeys(run["case"] for run in result["runs"]))
    panels = {title: [case for case in members if case in cases] for title, members in comparisons(cases).items()}
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(11, 3.8), width_ratios=[max(1, len(members)) for members in panels.values()]
    )
    for axis, (title, members) in zip(axes, panels.items(), strict=True):
        losses = {case: list(of(result, case, "held_out_loss").values()) for case in members}
        ordered = sorted(losses, key=lambda case: statistics.mean(losses[case]))
        for place, case in enumerate(ordered):
            color = "#cd4071" if case == FIRST else "#51127c"
            axis.scatter([place] * len(losses[case]), losses[case], s=18, color=color, alpha=0.7, linewidths=0)
            axis.hlines(statistics.mean(losses[case]), place - 0.3, place + 0.3, color=color)
        names = [FIRST_AS[title] if case == FIRST else case for case in ordered]
        axis.set_xticks(range(len(names)), names, rotation=55, fontsize=8, ha="right", rotation_mode="anchor")
        axis.set_title(title, fontsize=9)
        axis.tick_params(axis="y", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("loss on held-out pictures", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
