"""Pictures of figures: bars and lines, as SVG that needs nothing else."""

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape

WIDTH = 720
MARGIN = 24
LABEL_WIDTH = 170
VALUE_WIDTH = 70
BAR_HEIGHT = 22
BAR_STEP = 32
PLOT_HEIGHT = 260
LEGEND_STEP = 18
COLOURS = ("#2563a6", "#c2571a", "#3a7d44", "#7a4a9e")
# A page may be dark: the picture brings its own paper.
_FRAME = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" '
    'role="img" aria-label="{title}">\n<rect width="100%" height="100%" fill="white"/>\n{content}</svg>\n'
)


def bar_chart(title: str, values: Mapping[str, float]) -> str:
    """A horizontal bar for each value, all to the same scale that begins at zero, in the order given."""
    greatest = max(values.values(), default=0) or 1
    room = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH
    content = _text(MARGIN, MARGIN + 4, title, weight="bold")
    for number, (name, value) in enumerate(values.items()):
        top = 2 * MARGIN + number * BAR_STEP
        left, length = MARGIN + LABEL_WIDTH, value / greatest * room
        middle = top + BAR_HEIGHT / 2 + 5
        content += _text(left - 8, middle, name, anchor="end")
        content += f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{BAR_HEIGHT}" fill="{COLOURS[0]}"/>\n'
        content += _text(left + length + 6, middle, f"{value:,.0f}")
    return _framed(title, content, 2 * MARGIN + len(values) * BAR_STEP + MARGIN)


def line_chart(
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    across: str,
    up: str,
    dashed: Collection[str] = (),
) -> str:
    """A line for each series of points. What goes across has a logarithmic scale, what goes up one that begins at zero.

    `dashed` names the lines that stand back. Raises ValueError when there is no point, or one that a logarithmic scale
    has no place for.
    """
    points = [point for line in lines.values() for point in line]
    if not points or min(x for x, _ in points) <= 0:
        raise ValueError("a logarithmic scale needs values above zero")
    low = math.floor(math.log10(min(x for x, _ in points)) * 2) / 2
    high = max(math.ceil(math.log10(max(x for x, _ in points)) * 2) / 2, low + 0.5)
    top_value = max(y for _, y in points) or 1
    left, right = MARGIN + 50, WIDTH - MARGIN
    top = 2 * MARGIN + len(lines) * LEGEND_STEP
    bottom = top + PLOT_HEIGHT

    def place(x: float, y: float) -> str:
        along = left + (math.log10(x) - low) / (high - low) * (right - left)
        return f"{along:.1f},{bottom - y / top_value * PLOT_HEIGHT:.1f}"

    content = _text(MARGIN, MARGIN + 4, title, weight="bold")
    for quarter in range(5):
        height = bottom - quarter / 4 * PLOT_HEIGHT
        content += f'<path d="M{left},{height:.1f}H{right}" stroke="#ddd"/>\n'
        content += _text(left - 6, height + 4, f"{quarter / 4 * top_value:,.0f}", anchor="end")
    for step in range(round((high - low) * 2) + 1):
        x = 10 ** (low + step / 2)
        along = place(x, 0).partition(",")[0]
        content += f'<path d="M{along},{top}V{bottom}" stroke="#ddd"/>\n'
        content += _text(float(along), bottom + 18, f"{x:,.3g}" if x < 1000 else f"{x:,.0f}", anchor="middle")
    content += _text(right, bottom + 38, across, anchor="end") + _text(MARGIN, top - 8, up)
    for number, (name, line) in enumerate(lines.items()):
        path = " ".join(place(*point) for point in line)
        stroke = f'stroke="{_colour(number)}" stroke-width="2"' + (' stroke-dasharray="6 4"' if name in dashed else "")
        height = MARGIN + 24 + number * LEGEND_STEP
        content += f'<polyline points="{path}" fill="none" {stroke}/>\n<path d="M{left},{height - 4}h50" {stroke}/>\n'
        content += _text(left + 60, height, name, colour=_colour(number))
    return _framed(title, content, bottom + 38 + MARGIN / 2)


def _framed(title: str, content: str, height: float) -> str:
    return _FRAME.format(width=WIDTH, height=round(height), title=escape(title), content=content)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>\n"
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
