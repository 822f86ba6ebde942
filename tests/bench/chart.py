"""The figures as files: JSON to compare with, a picture and a table to look at."""
import json
import math
import os

BAR, GAP, LEFT, WIDTH = 9, 12, 190, 520
COLOURS = {"ours": "#1f77b4", "Docker Compose": "#b0b0b0"}


def _milliseconds(seconds):
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def svg(data):
    """Bars on a logarithmic scale, one pair a figure."""
    figures = data["figures"]
    values = [figure[name]["median"] for figure in figures.values() for name in COLOURS if name in figure]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    names = [name for name in COLOURS if any(name in figure for figure in figures.values())]
    row = BAR * len(names) + GAP
    height = row * len(figures) + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}" '
           'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>']

    def x(seconds):
        return LEFT + WIDTH * (math.log10(seconds) - low) / (high - low)

    for power in range(low, high + 1):
        label = f"{10 ** (power + 3):g} ms" if power < 0 else f"{10 ** power:g} s"
        out.append(f'<line x1="{x(10 ** power):.1f}" y1="30" x2="{x(10 ** power):.1f}" y2="{height - 25}" stroke="#e0e0e0"/>'
                   f'<text x="{x(10 ** power):.1f}" y="{height - 10}" text-anchor="middle" fill="#606060">{label}</text>')
    for i, name in enumerate(names):
        out.append(f'<rect x="{LEFT + 140 * i}" y="10" width="10" height="10" fill="{COLOURS[name]}"/>'
                   f'<text x="{LEFT + 140 * i + 15}" y="19">{name}</text>')
    for number, (figure, entry) in enumerate(figures.items()):
        y = 35 + row * number
        out.append(f'<text x="{LEFT - 8}" y="{y + BAR * len(names) / 2 + 4:.0f}" text-anchor="end">{figure}</text>')
        for i, name in enumerate(name for name in names if name in entry):
            end = x(entry[name]["median"])
            out.append(f'<rect x="{LEFT}" y="{y + BAR * i}" width="{end - LEFT:.1f}" height="{BAR - 1}" '
                       f'fill="{COLOURS[name]}"/><text x="{end + 4:.1f}" y="{y + BAR * i + BAR - 1}" font-size="9">'
                       f'{_milliseconds(entry[name]["median"])}</text>')
    return "\n".join(out + ["</svg>", ""])


def table(data):
    lines = ["| | ours | Docker Compose | times faster | times the kernel's limit |", "|---|---:|---:|---:|---:|"]
    for figure, entry in data["figures"].items():
        ours, peer = entry["ours"]["median"], entry.get("Docker Compose", {}).get("median")
        floor = entry.get("floor", {}).get("median")
        lines.append(f"| `{figure}` | {_milliseconds(ours)} | {_milliseconds(peer) if peer else ''} | "
                     f"{f'{peer / ours:.1f}' if peer else ''} | {f'{ours / floor:.1f}' if floor else ''} |")
    return "\n".join(lines)


def save(folder, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "figures.json"), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "figures.svg"), "w", encoding="utf-8") as file:
        file.write(svg(data))
    with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as file:
        file.write(f"""# How fast it is

Whole commands, medians of one run in which the contestants take turns; {data['date']}, {data['machine']}.
The containers run busybox; the scale of the picture is logarithmic.

![ours beside Docker Compose](figures.svg)

{table(data)}

The kernel's limit is a program that makes as many containers by the bare system calls (namespaces, overlay root, a veth
in a bridge, three control groups, a filter, exec), two at a time, and keeps nothing.

`tests/bench/run` measures again and marks what got slower than these figures by more than the runs scatter;
`--peer` measures Docker Compose beside it, `--save` writes this page. `tests/bench/profile` shows where the processor
time of a command goes.
""")
