"""Names of points made of the browse names of nodes, pure: `[a-z0-9_]`, at most 32 characters, each once.

A point is called after its variable alone where that is enough, else the objects above it come before it. Chinese names
of common quantities and equipment become the words below; what is in no list is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Final

MOST = 32
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_REST = re.compile(r"[^a-z0-9]+")
_WORDS: Final[Mapping[str, str]] = MappingProxyType({
    "液位": "level", "料位": "level", "界位": "interface", "温度": "temperature", "压力": "pressure",
    "差压": "differential_pressure", "真空度": "vacuum", "瞬时流量": "flow", "累计流量": "total", "累积流量": "total",
    "流量": "flow", "流速": "velocity", "风速": "wind_speed", "风向": "wind_direction", "湿度": "humidity",
    "气压": "air_pressure", "浓度": "concentration", "含量": "content", "密度": "density", "粘度": "viscosity",
    "电导率": "conductivity", "浊度": "turbidity", "电流": "current", "电压": "voltage", "功率": "power",
    "频率": "frequency", "转速": "speed", "振动": "vibration", "位移": "displacement", "开度": "opening",
    "阀位": "position", "阀门": "valve", "阀": "valve", "泵": "pump", "储罐": "tank", "罐": "tank", "塔": "tower",
    "反应器": "reactor", "反应釜": "reactor", "炉": "furnace", "锅炉": "boiler", "压缩机": "compressor", "风机": "fan",
    "换热器": "exchanger", "烟囱": "stack", "烟气": "flue_gas", "废气": "waste_gas", "废水": "waste_water",
    "进口": "inlet", "入口": "inlet", "出口": "outlet", "上": "upper", "下": "lower", "高高": "high_high",
    "低低": "low_low", "高": "high", "低": "low", "上限": "high_limit", "下限": "low_limit", "报警": "alarm",
    "开关": "switch", "状态": "state", "运行": "running", "停止": "stopped", "故障": "fault", "维护": "maintenance",
    "校准": "calibration", "标定": "calibration", "健康": "health", "设定值": "setpoint", "设定": "setpoint",
    "测量值": "value", "当前值": "value", "实时值": "value", "时间": "time", "总量": "total", "质量": "mass",
    "体积": "volume", "重量": "weight", "二氧化硫": "so2", "氮氧化物": "nox", "一氧化氮": "no", "二氧化氮": "no2",
    "一氧化碳": "co", "二氧化碳": "co2", "氧含量": "o2", "氧气": "o2", "氧": "o2", "硫化氢": "h2s", "氨气": "nh3",
    "氨氮": "nh3_n", "氨": "nh3", "氯化氢": "hcl", "氯气": "cl2", "甲烷": "ch4", "非甲烷总烃": "nmhc", "苯": "benzene",
    "可燃气体": "combustible", "有毒气体": "toxic", "颗粒物": "dust", "粉尘": "dust", "总磷": "tp", "总氮": "tn",
    "化学需氧量": "cod", "溶解氧": "do",
})  # fmt: skip
_HAN = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)))


def slug(text: str) -> str:
    """Give what of a text a name can hold: `"PV_101"` is `pv_101`, `"HighLevel"` `high_level`, `"液位"` `level`.

    Empty where nothing of it can stand in a name.
    """
    spoken = _HAN.sub(lambda found: f"_{_WORDS[found[0]]}_", text)
    plain = unicodedata.normalize("NFKD", spoken).encode("ascii", "ignore").decode()
    return _REST.sub("_", _CAMEL.sub("_", plain).lower()).strip("_")


def names(paths: Sequence[Sequence[str]]) -> list[str]:
    """Give each path of browse names, of which the last is the variable's, a name that no other has.

    Of those that would be called alike as many objects above are said as tell them apart; what still is alike, or
    nothing of which can stand in a name, is numbered.
    """
    parts = [[part for part in map(slug, path) if part] if slug(path[-1]) else [] for path in paths]
    taken = [1] * len(parts)
    while True:
        made = [_said(each, count) for each, count in zip(parts, taken, strict=True)]
        alike = Counter(made)
        longer = [place for place, name in enumerate(made) if alike[name] > 1 and taken[place] < len(parts[place])]
        if not longer:
            return _numbered(made)
        for place in longer:
            taken[place] += 1


def _said(parts: Sequence[str], count: int) -> str:
    return "_".join(parts[len(parts) - count :]) if parts else ""


def _numbered(made: Sequence[str]) -> list[str]:
    """Cut the names to their length, and number those that are empty or taken."""
    used = {name for name in made if name and len(name) <= MOST}  # who needs no change keeps its name
    first: set[str] = set()
    tries: Counter[str] = Counter()
    found = []
    for name in made:
        if name and len(name) <= MOST and name not in first:
            first.add(name)
            found.append(name)
        else:
            found.append(_free(name, used, tries))
            used.add(found[-1])
    return found


def _free(name: str, used: Container[str], tries: Counter[str]) -> str:
    """Give the first free one of a name cut to its length, then with a number."""
    if name and (cut := _end(name, MOST)) not in used:
        return cut
    tries[name] += 1 + bool(name and not tries[name])
    while True:
        tail = f"_{tries[name]}"
        tried = f"{_end(name or 'point', MOST - len(tail))}{tail}"
        if tried not in used:
            return tried
        tries[name] += 1


def _end(name: str, most: int) -> str:
    """Give the words at the end of a name that fit: they tell most; of a single word as much of it as fits."""
    if len(name) <= most:
        return name
    _, between, words = name[-most - 1 :].partition("_")
    return words if between and words else name[-most:].strip("_")
