"""What one cycle asks of an instrument of each shipped profile, beside the least that a search of everything finds.

`make bench BENCH=requests`. Nothing runs and no time is measured: these figures are the same on every machine.
"""

from rich.table import Table
from support.fewest_requests import asked, fewest, shipped


def figures() -> list[dict]:
    rows = []
    for profile, site in shipped():
        (requests, read), (least, least_read) = asked(site), fewest(site)
        rows.append({
            "profile": profile, "points": len(site.points), "states": len(site.states), "requests": requests,
            "fewest_requests": least, "registers": read, "fewest_registers": least_read,
        })  # fmt: skip
    return rows


def table(rows: list[dict]) -> Table:
    found = Table(title="Requests per cycle, and the registers and bits that they read")
    columns = ("profile", "points", "states", "requests", "fewest", "registers", "fewest")
    for column in columns:
        found.add_column(column, justify="left" if column == "profile" else "right")
    for row in rows:
        found.add_row(*map(str, row.values()))
    found.add_section()
    sums = [sum(row[key] for row in rows) for key in list(rows[0])[1:]]
    found.add_row("all", *map(str, sums))
    return found
