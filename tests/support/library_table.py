"""The document of the instrument library, made of the profiles themselves, in both languages.

`PYTHONPATH=tests .venv/bin/python -m support.library_table` writes docs/instruments.md and its translation again.
"""

import re
from pathlib import Path

from support.library_cases import PROFILES, profile_of

DOCS = Path(__file__).parents[2] / "docs"
FILES = {"en": "instruments.md", "zh": "instruments.zh-CN.md"}

KINDS = {
    "cems": ("Stack gas analysers (CEMS)", "烟气连续监测（CEMS）"),
    "voc": ("Volatile organic compounds at the fence line", "厂界挥发性有机物"),
    "ambient-air": ("Ambient air", "环境空气"),
    "dust": ("Dust and particles", "扬尘与颗粒物"),
    "noise": ("Noise", "噪声"),
    "weather": ("Weather", "气象"),
    "water-analyser": ("Water analysers", "水质分析仪"),
    "flow-meter": ("Flow meters", "流量计"),
    "penstock": ("Penstock gates", "闸门"),
    "gas-detector": ("Gas detectors", "气体探测器"),
    "gas-controller": ("Gas detection controllers", "气体报警控制器"),
    "tank-gauge": ("Tank gauges", "储罐液位计"),
    "compressor": ("Compressors", "压缩机"),
    "power-meter": ("Power meters and motor protection", "电力仪表与电动机保护"),
    "co2-capture": ("CO2 capture", "二氧化碳捕集"),
    "gate-counter": ("Gate counters", "出入口计数"),
    "device": ("Devices that tell their health (OPC UA DI)", "自报健康状态的设备（OPC UA DI）"),
}
"""The kinds of instruments, as `labels.kind` of a profile names them, in the order of the document."""

ABOUT = """\
# The instrument library

These profiles come with Parkgate, in `config/instruments/`: an instrument of a site file names one
(`profile = "cems-generic"`). Which point carries which register, unit and range is in the file, readable beside the
manual that it cites. Points in brackets are disabled until a site enables them (`points.co2.enabled = true`). Where a
source leaves something open (word order, the first register, the meaning of a code), the file says so: compare with
`parkgate probe` before use.

Of every profile there are cases in `tests/cases/instruments/`: what its registers hold and what that means by the
manual, read over a real connection in the tests. Flags are those that its states give. `labels.kind` in the file, and
in `meta`, is the kind. How to write a profile of your own: [technician.md](technician.md).
"""

ABOUT_ZH = """\
# 仪表模板库

以下模板随 Parkgate 提供，位于 `config/instruments/`：站点文件中的仪表按名称引用（`profile = "cems-generic"`）。
每个测点的寄存器、单位和量程写在模板文件里，可与其引用的说明书对照。括号中的测点默认停用，由站点启用
（`points.co2.enabled = true`）。资料未说明之处（字节顺序、起始寄存器、代码含义），文件中均已注明：使用前请用
`parkgate probe` 核对。

每个模板在 `tests/cases/instruments/` 里都有用例：寄存器内容及其按说明书的含义，测试时通过真实连接读取。
数据标记一栏是其状态所给出的标记。文件中的 `labels.kind`（也出现在 `meta` 里）是仪表类别。编写自己的模板：
[technician.zh-CN.md](technician.zh-CN.md)。
"""

TEXTS = {
    "en": (ABOUT, ("Profile", "Instrument", "Points", "Flags", "Source"), "Parkgate's generic map"),
    "zh": (ABOUT_ZH, ("模板", "仪表", "测点", "数据标记", "来源"), "Parkgate 通用点表"),
}

SHORT = 4
"""A numbered row of points of at most this many is listed in full."""

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def document(language):
    """Give the document in `en` or `zh`."""
    about, columns, _ = TEXTS[language]
    parts = [about.rstrip()]
    for kind, names in KINDS.items():
        of_kind = [name for name in PROFILES if profile_of(name).labels["kind"] == kind]
        rows = [columns, ("---",) * len(columns), *(_row(name, language) for name in of_kind)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        parts += [f"## {names[language == 'zh']}", table]
    return "\n\n".join(parts) + "\n"


def _row(name, language):
    profile = profile_of(name)
    flags = dict.fromkeys(state.flag.value for state in profile.states)
    generic = profile.manual.startswith("Parkgate's generic map")
    return (
        f"`{name}`",
        titles(profile.title)[language == "zh"],
        _listed(profile.points),
        ", ".join(flags) or "–",
        TEXTS[language][2] if generic else profile.manual.replace("|", "/"),
    )


def titles(title):
    """Give the English and the Chinese part of a title."""
    first = CHINESE.search(title)
    assert first is not None, title
    return title[: first.start()].rstrip(" ("), title[first.start() :]


def _listed(points):
    """Name points; a numbered row of them by its first and its last, disabled ones in brackets."""
    rows = {}
    for point in points:
        stem, _, number = point.name.rpartition("_")
        rows.setdefault((stem if number.isdigit() else point.name, point.enabled), []).append(point.name)
    listed = {key: f"{row[0]} … {row[-1]}" if len(row) > SHORT else ", ".join(row) for key, row in rows.items()}
    return ", ".join(row if enabled else f"({row})" for (_, enabled), row in listed.items())


if __name__ == "__main__":
    for language, file in FILES.items():
        (DOCS / file).write_text(document(language), encoding="utf-8")
