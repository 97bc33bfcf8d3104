"""What the endpoints for programs return, as types that Gradio writes into the description of the API."""

from __future__ import annotations

from typing import TypedDict

Setting = float | str | None  # of a solver
PictureMap = list[list[float]]  # [row][column]
Map = PictureMap | list[PictureMap]  # for clips, [frame] comes first


class ModelOf(TypedDict):
    """An installed model. frames: null for models of pictures."""

    id: str
    family: str
    origin: str
    schemes: list[str]
    frames: int | None


class MeasuresOf(TypedDict):
    """Of a scan order, as `scans.measures.Measures`."""

    continuity: float
    jumps: int
    longest_jump: int
    mean_jump: float
    mean_neighbour_distance: float


class OrderOf(TypedDict):
    """The order in which a layer reads. perm[k]: the raster index of the k-th token visited."""

    scheme: str
    layer: int
    grid: list[int]
    perm: list[int]
    runs: int
    jumps: int
    measures: MeasuresOf


class WordOf(TypedDict):
    """A word of a prompt: attention to it, and what it changes, null for tokens that belong to no word."""

    word: str
    tokens: list[int]
    map: Map
    effect: Map | None


class WordsOf(TypedDict):
    """The maps of every word."""

    grid: list[int]
    words: list[WordOf]


class InfluenceOf(TypedDict):
    """Which patches influence a patch: by the whole network, and by layer. composed: null if it would take too long."""

    grid: list[int]
    gradient: Map
    implicit: list[Map]
    composed: list[Map] | None
    field: list[Map]


class PathsOf(TypedDict):
    """The paths of noise points under a solver. states: [time][point][x, y]."""

    solver: str
    times: list[float]
    states: list[list[list[float]]]
    nfe: int
    score: float
    error: float


class FloorOf(TypedDict):
    """What as many true points score."""

    mean: float
    low: float
    high: float


class ToyOf(TypedDict):
    """The same noise under an ODE and an SDE."""

    toy: str
    ode: PathsOf
    sde: PathsOf
    floor: FloorOf
    noise_score: float


class StripOf(TypedDict):
    """The clean picture predicted at eight times under a solver, as PNG data URLs."""

    solver: str
    times: list[float]
    called: list[float | None]
    images: list[str | None]
    nfe: int
    seconds: float


class CurveOf(TypedDict):
    """The measured errors of a solver by steps and network calls."""

    label: str
    stochastic: bool
    points: list[dict[str, float]]


class CurvesOf(TypedDict, total=False):
    """The curves of all solvers, and what they were measured on."""

    model: str
    labels: list[str]
    guidance: float
    curves: dict[str, CurveOf]
    torch: str
    machine: str
    threads: int
    seconds: float


class CellOf(TypedDict, total=False):
    """A cell of a matrix, with the address of its file, or the reason why it cannot be drawn."""

    row: int
    column: int
    reason: str | None
    file: dict[str, str | int | bool | None | dict[str, str]]
    seconds: float
    calls: int
    shown: int
    asked: int
