"""Figures of an explanation: heads, fidelity, accuracy by depth and length (plotly)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recinterp.errors import DomainError
from recinterp.io import write_text
from recinterp.judge.cached_model import CachedModel
from recinterp.view.notebook.static_chart import render_chart
from recinterp.view.report.data import FidelityRow, RateView, fidelity_rows

if TYPE_CHECKING:
    from recinterp.explanation import Explanation


@dataclass(frozen=True, kw_only=True)
class PlotColours:
    """The figures' colours; the two pale ones are those of controls.

    Attributes:
        blue: the model, and what it does.
        red: the machine, causal effects, failures.
        green: a third series.
        grey: baselines and controls.
        pale_blue: the control of a blue series.
        pale_red: the control of a red series.
        light: the lower end of a heat map's scale.
    """

    blue: str = "#2f6fb3"
    red: str = "#c01f3c"
    green: str = "#1a7f4b"
    grey: str = "#8a97a5"
    pale_blue: str = "#a9c6e3"
    pale_red: str = "#eab0ba"
    light: str = "#dfe7ef"


COLOURS = PlotColours()
PLOTLY_CONFIG = {"displaylogo": False, "responsive": True}


@dataclass(frozen=True, eq=False)
class Plot:
    """A plotly figure, its numbers as a table, and a file of it that needs no network.

    Attributes:
        figure: the plotly figure.
        title: what it shows.
        columns: the names of the table's columns.
        rows: the table: a name in the first column, numbers or "–" in the others.
    """

    figure: Any
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]

    def save(self, path: str | Path) -> Path:
        """Write one HTML file that holds plotly's script and needs no network (4.8 MB).

        Args:
            path: the file to write.

        Returns:
            The path of the file.

        Raises:
            UnwritableFileError: where the file cannot be written.
        """
        page = self.figure.to_html(include_plotlyjs=True, full_html=True, config=PLOTLY_CONFIG)
        return write_text(path, page)

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        cells = [[x if isinstance(x, str) else f"{x:.3f}" for x in line] for line in lines]
        wide = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        body = ("  ".join(x.ljust(w) for x, w in zip(line, wide, strict=True)) for line in cells)
        return "\n".join([self.title, *(line.rstrip() for line in body)])

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        # JupyterLab draws plotly's own type with the extension in plotly's wheel, nothing fetched.
        import json

        drawn = json.loads(self.figure.to_json()) | {"config": PLOTLY_CONFIG}
        return {
            "application/vnd.plotly.v1+json": drawn,
            "text/html": self._html_table(),
            "text/plain": str(self),
        }

    def _html_table(self) -> str:
        head = "".join(f"<th>{escape(c)}</th>" for c in self.columns)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{escape(x) if isinstance(x, str) else f'{x:.3f}'}</td>" for x in row)
            + "</tr>"
            for row in self.rows
        )
        return (
            f"<figure><figcaption>{escape(self.title)}</figcaption>"
            f"{render_chart(self.columns, self.rows)}<details><summary>as a table</summary>"
            f"<table><tr>{head}</tr>{body}</table></details></figure>"
        )


@dataclass(frozen=True)
class Plots:
    """The figures of an explanation, as `ex.plot`.

    Attributes:
        ex: the explanation.
        inputs_per_cell: inputs drawn of each length and depth, at most, for `depth`.
    """

    ex: Explanation
    inputs_per_cell: int = 12

    def heads(self) -> Plot:
        """Each head's attention score and causal effect beside its controls.

        Raises:
            DomainError: where the explanation has no heads.
        """
        from plotly.graph_objects import Bar, Figure

        heads = self.ex.heads
        if not heads:
            raise DomainError(
                "plot the heads", "the explanation has none", "explain a hooked model"
            )
        names = [h.name + (" ●" if h.recursion else "") for h in heads]
        series = {
            "follows a landmark": [h.score for h in heads],
            "… untrained twin": [h.controls.get("untrained attention", 0.0) for h in heads],
            "share of the effect": [h.effect for h in heads],
            "… random direction": [h.controls.get("random direction", 0.0) for h in heads],
            "tokens changed by ablation": [h.controls.get("ablated", 0.0) for h in heads],
        }
        colours = (
            COLOURS.blue, COLOURS.pale_blue, COLOURS.red, COLOURS.pale_red, COLOURS.grey,
        )  # fmt: skip
        bars = [
            Bar(name=name, x=names, y=values, marker_color=colour)
            for (name, values), colour in zip(series.items(), colours, strict=True)
        ]
        figure = Figure(bars)
        figure.update_layout(barmode="group", yaxis_title="share", yaxis_rangemode="tozero")
        rows: list[tuple[str | float, ...]] = [
            (n, *(v[i] for v in series.values())) for i, n in enumerate(names)
        ]
        title = "Heads: what each does, beside its controls (● carries the recursion)"
        return _build_plot(figure, title, ("head", *series), rows)

    def fidelity(self) -> Plot:
        """Match, failure recall and precision by stratum of held-out inputs, with intervals."""
        from plotly.graph_objects import Figure, Scatter

        rows = fidelity_rows(self.ex.fidelity)
        names = [r.stratum for r in rows]
        shown = {
            "match": (COLOURS.blue, "circle"),
            "exact recall": (COLOURS.red, "diamond"),
            "exact precision": (COLOURS.green, "square"),
        }
        figure = Figure(
            [
                _scatter(Scatter, name, names, [r.columns[name] for r in rows], *look)
                for name, look in shown.items()
            ]
            + [_scatter(Scatter, f"“{b}”", names, _baseline(rows, b), COLOURS.grey, "line-ew-open")
               for b in rows[0].baselines]
        )  # fmt: skip
        figure.update_layout(yaxis_title="share, with 95 % interval", yaxis_range=[-0.03, 1.05])
        figure.update_layout(scattermode="group", scattergap=0.55)
        table = [
            (f"{r.stratum} ({r.n})", *(_value_or_dash(r.columns[c]) for c in shown)) for r in rows
        ]
        title = "Fidelity on held-out inputs"
        return _build_plot(figure, title, ("stratum", *shown), table)

    def depth(self) -> Plot:
        """Accuracy of model and machine by recursion depth, and the model's by depth and length.

        Without the model, the machine's predictions stand for its outputs.
        """
        from plotly.graph_objects import Figure, Heatmap, Scatter

        cells = self._cells
        depths = sorted({d for _, d in cells})
        figure = Figure()
        lines: list[list[float]] = []
        for i, (name, colour) in enumerate(
            (("model", COLOURS.blue), ("learned machine", COLOURS.red))
        ):
            line = [_mean_accuracy(cells, i, d) for d in depths]
            lines.append(line)
            dash = "solid" if i == 0 else "dot"
            style = {"color": colour, "dash": dash, "width": 3 - i}
            figure.add_trace(Scatter(x=depths, y=line, name=name, line=style, mode="lines+markers"))
        lengths = sorted({n for n, _ in cells})
        grid = [[_accuracy_of(cells.get((n, d)), 0) for n in lengths] for d in depths]
        figure.add_trace(
            Heatmap(
                z=grid, x=lengths, y=depths, xaxis="x2", yaxis="y2", zmin=0, zmax=1,
                colorscale=[[0, COLOURS.red], [1, COLOURS.light]], hoverongaps=False, name="model",
                colorbar={"title": "right"},
                hovertemplate="length %{x}, depth %{y}: %{z:.0%} right<extra></extra>",
            )
        )  # fmt: skip
        figure.update_layout(
            xaxis={"title": "recursion depth", "domain": [0, 0.44]},
            yaxis={"title": "right outputs", "range": [-0.03, 1.05]},
            xaxis2={"title": "input length", "domain": [0.56, 1], "anchor": "y2"},
            yaxis2={"title": "recursion depth", "anchor": "x2", "autorange": "reversed"},
            legend={"orientation": "h", "y": 1.12},
        )
        rows = [(f"{d}", a, b) for d, a, b in zip(depths, *lines, strict=True)]
        return _build_plot(
            figure, "Right outputs by depth and length", ("depth", "model", "machine"), rows
        )

    @cached_property
    def _cells(self) -> dict[tuple[int, int], tuple[int, int, int]]:
        """(length, depth) -> right outputs of the model, of the machine, inputs drawn."""
        task, domain = self.ex.task, self.ex.domain
        places, inputs = [], []
        for length in range(1, (domain.max_length or 8) + 1):
            for depth in domain.depths(task, length):
                size = self.inputs_per_cell
                drawn = domain.sample_cell(task, length, depth, size, seed=length)
                for x in dict.fromkeys(map(tuple, drawn)):
                    places.append((length, depth))
                    inputs.append(list(x))
        cells: dict[tuple[int, int], tuple[int, int, int]] = {}
        for at, (model_right, machine_right) in zip(places, self._right(inputs), strict=True):
            of_model, of_machine, total = cells.get(at, (0, 0, 0))
            cells[at] = (of_model + model_right, of_machine + machine_right, total + 1)
        return cells

    def _right(self, inputs: list[list[str]]) -> Iterator[tuple[bool, bool]]:
        """For each input, whether the model and whether the machine is right."""
        truth = self.ex.task.apply_many(inputs)
        predicted = self.ex.machine.run_many(inputs)
        outputs: Sequence[list[str] | None] = predicted
        if self.ex.model is not None:
            outputs = CachedModel.of(self.ex.model, self.ex.task)(inputs)
        for z, y, m in zip(truth, outputs, predicted, strict=True):
            yield y == z, m == z


def _build_plot(
    figure: Any, title: str, columns: Sequence[str], rows: Sequence[Sequence[str | float]]
) -> Plot:
    figure.update_layout(
        title=title, template="plotly_white", font_family="sans-serif", height=420,
        margin={"t": 80, "b": 60}, paper_bgcolor="white",
    )  # fmt: skip
    return Plot(figure, title, tuple(columns), tuple(map(tuple, rows)))


def _scatter(
    kind: Any, name: str, x: Sequence[str], shares: Sequence[RateView], colour: str, sign: str
) -> Any:
    y = [s.value for s in shares]
    up = [0 if s.value is None else max(s.high - s.value, 0) for s in shares]
    down = [0 if s.value is None else max(s.value - s.low, 0) for s in shares]
    bars = {"array": up, "arrayminus": down, "symmetric": False, "thickness": 1, "width": 3}
    quoted = name.startswith("“")
    return kind(
        x=list(x), y=y, name=name, mode="markers", error_y=None if quoted else bars,
        marker={"color": colour, "size": 9, "symbol": sign},
        visible="legendonly" if quoted else True,
    )  # fmt: skip


def _baseline(rows: Sequence[FidelityRow], name: str) -> list[RateView]:
    return [r.baselines[name] for r in rows]


def _value_or_dash(share: RateView) -> float | str:
    return "–" if share.value is None else share.value


def _accuracy_of(cell: tuple[int, int, int] | None, which: int) -> float | None:
    return None if cell is None else cell[which] / cell[2]


def _mean_accuracy(
    cells: Mapping[tuple[int, int], tuple[int, int, int]], which: int, depth: int
) -> float:
    mine = [c for (_, d), c in cells.items() if d == depth]
    return sum(c[which] for c in mine) / sum(c[2] for c in mine)
