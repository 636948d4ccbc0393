"""A profile's points as a table, as a spreadsheet saves it."""

import pytest
from support.sites import SITE, edited

from parkgate.config.load import load_site

PROFILE = 'protocol = "modbus"\npoints = "points.csv"\n'
OWN = edited(SITE, '"cems-generic"', '"own.toml"')
OWN = edited(edited(OWN, "points.co.enabled = false\n", ""), "points.so2.digits = 1\n", "")
HEADER = "name,at,type,title,unit,factor,range,digits,scale,offset,order,invalid,as,enabled\n"


def test_a_table_gives_the_same_points_as_the_profile_would(tmp_path):
    rows = (
        'so2,input 0,float32,"SO2, dry",mg/m3,a21026,0..300,2,,,CDAB,,,\n'
        "\n"
        "o2,input 4,uint16,,%,,-1.5..25,,0.01,-2,,0xFFFF 0x7FFF,,yes\n"
        "total,input 6,uint64,,m3,,,,,,,,string,TRUE\n"
        "spare,input 9,uint16,,,,,,,,,,,no\n"
    )
    (tmp_path / "points.csv").write_text(HEADER + rows, encoding="utf-8-sig", newline="\r\n")
    (tmp_path / "own.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "site.toml").write_text(OWN, encoding="utf-8")
    so2, o2, total = load_site(tmp_path / "site.toml").instruments[0].points
    assert (so2.title, so2.unit, so2.factor, so2.range, so2.digits, so2.order) == (
        "SO2, dry", "mg/m3", "a21026", (0, 300), 2, "CDAB",
    )  # fmt: skip
    assert (so2.scale, so2.offset, so2.invalid, so2.enabled) == (1, 0, (), True)
    assert (o2.range, o2.scale, o2.offset, o2.invalid, o2.digits) == ((-1.5, 25), 0.01, -2, (65535, 32767), None)
    assert (total.as_, total.type) == ("string", "uint64")


def test_a_deadband_is_a_column(tmp_path):
    rows = "name,at,type,deadband\na,ns=2;s=a,double,0.5\nb,ns=2;s=b,double,2%\nc,ns=2;s=c,double,\n"
    (tmp_path / "points.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "own.toml").write_text('protocol = "opcua"\npoints = "points.csv"\n', encoding="utf-8")
    site = edited(edited(SITE, '"tank-opcua"', '"own.toml"'), 'node = "T7"\n', "")
    (tmp_path / "site.toml").write_text(site, encoding="utf-8")
    assert [each.deadband for each in load_site(tmp_path / "site.toml").instruments[1].points] == [0.5, "2 %", None]


def test_how_long_a_value_may_stand_is_a_column(tmp_path):
    rows = "name,at,type,unchanged\na,input 0,int16,15min\nb,input 1,int16,\n"
    (tmp_path / "points.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "own.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "site.toml").write_text(OWN, encoding="utf-8")
    assert [each.unchanged for each in load_site(tmp_path / "site.toml").instruments[0].points] == [900_000, None]


def test_what_a_point_is_converted_to_is_a_column(tmp_path):
    rows = "name,at,type,unit,factor,convert\na,input 0,float32,Pa,,kPa\nb,input 2,float32,ppm,a21026,mg/m3 at 25\n"
    (tmp_path / "points.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "own.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "site.toml").write_text(OWN, encoding="utf-8")
    instrument = load_site(tmp_path / "site.toml").instruments[0]
    assert [each.unit for each in instrument.points] == ["kPa", "mg/m3"]
    assert [each.scale for each in instrument.points] == pytest.approx([0.001, 64.058 / 24.45])
    assert instrument.conversions["b"].at == 25


def test_a_temperature_of_a_conversion_that_is_none_is_told_with_an_example(said):
    rows = "name,at,type,unit,convert\na,input 0,float32,ppm,mg/m3 at warm\n"
    (found,) = said(OWN, own_toml=PROFILE, points_csv=rows)
    assert 'points.a.convert: cannot read "mg/m3 at warm"; write it as in mg/m3 at 0' in found


def test_a_range_may_have_two_columns(tmp_path):
    (tmp_path / "points.csv").write_text("name,at,type,range_low,range_high\na,input 0,int16,-5,5\n", encoding="utf-8")
    (tmp_path / "own.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "site.toml").write_text(OWN, encoding="utf-8")
    assert load_site(tmp_path / "site.toml").instruments[0].points[0].range == (-5, 5)


MISTAKES = [
    ("a,input 0,float33\n", ['points.csv:2: points.a.type: unknown type "float33"; did you mean "float32"?']),
    ("a,input 0,int16\n\n\nb,,int16\n", ["points.csv:5: points.b.at: is missing; add it"]),
    (",input 0,int16\n", ['points.csv:2: points..name: "" will not do; use a to z, 0 to 9 and _, 1 to 32 of them']),
    ("a,input 0,int16,5\n", ["points.csv:2: points: this row has 4 cells, the header 3"]),
    (
        "a,input 0,int16\na,input 1,int16\n",
        ["points.csv:3: points.a: a point of this name stands there already; rename one or set enabled = false"],
    ),
    ('a,"input\n0",int17\nb,input 1,int18\n', None),
]


@pytest.mark.parametrize(("rows", "expected"), MISTAKES)
def test_a_mistake_in_a_table_is_named_with_its_row(said, rows, expected):
    found = said(OWN, own_toml=PROFILE, points_csv="name,at,type\n" + rows)
    if expected is None:
        assert [each.split(": ")[:2] for each in found] == [
            ["points.csv:2", "points.a.type"],
            ["points.csv:4", "points.b.type"],
        ]
    else:
        assert found == expected


def test_points_with_wrong_names_are_not_taken_for_one(said):
    table = "name,at,type\nTotal,input 0,int16\n中文,input 1,int16\n"
    found = said(OWN, own_toml=PROFILE, points_csv=table)
    assert [each.partition(";")[0] for each in found] == [
        'points.csv:2: points.Total.name: "Total" will not do',
        'points.csv:3: points.中文.name: "中文" will not do',
    ]
    toml = 'protocol = "modbus"\n[points]\n'
    toml += "".join(
        f'"{name}" = {{ at = "input {at}", type = "int16" }}\n' for at, name in enumerate(("Total", "中文"))
    )
    assert ["stands there already" in each for each in said(OWN, own_toml=toml)] == [False, False]


CELLS = [
    ("range", "0-300", "0..300"),
    ("range", "1..2..3", "0..300"),
    ("range", "[1, 2", "0..300"),
    ("range", "[1, 2, 3]", "0..300"),
    ("digits", "two", "2"),
    ("scale", "0,1", "0.1"),
    ("offset", "x", "-40"),
    ("invalid", "0xZZ", "0xFFFF 0x7FFF"),
    ("enabled", "perhaps", "true"),
]


@pytest.mark.parametrize(("column", "cell", "example"), CELLS)
def test_a_cell_that_cannot_be_read_is_shown_with_an_example(said, column, cell, example):
    table = f'name,at,type,{column}\na,input 0,int16,"{cell}"\n'
    assert said(OWN, own_toml=PROFILE, points_csv=table) == [
        f'points.csv:2: points.a.{column}: cannot read "{cell}"; write it as in {example}'
    ]


def test_a_range_with_one_end_only_cannot_be_read(said):
    table = "name,at,type,range_low\na,input 0,int16,0\n"
    assert said(OWN, own_toml=PROFILE, points_csv=table) == [
        'points.csv:2: points.a.range: cannot read "0.."; write it as in 0..300'
    ]


COMMAS = "points.csv:1: the cells must be separated by commas; save the table as CSV with commas"
HEADERS = [
    ("name,at,typ\n", ['points.csv:1: unknown key "typ"; did you mean "type"?']),
    ("name,at,type,at\n", ['points.csv:1: the column "at" stands there twice']),
    ("name,at\n", ['points.csv:1: the first row must name the columns, among them "name", "at" and "type"']),
    ("name;at;type\na;input 0;int16\n", [COMMAS]),
    ("name\tat\ttype\na\tinput 0\tint16\n", [COMMAS]),
    ("at,type\n", ['points.csv:1: the first row must name the columns, among them "name", "at" and "type"']),
    ("", ['points.csv:1: the first row must name the columns, among them "name", "at" and "type"']),
]


@pytest.mark.parametrize(("header", "expected"), HEADERS)
def test_a_header_that_will_not_do_says_what_it_needs(said, header, expected):
    assert said(OWN, own_toml=PROFILE, points_csv=header) == expected


def test_a_wrong_column_does_not_hide_what_is_wrong_with_the_rows(said):
    table = "name,at,typ,untis,digits\na,input 0,int17,%,1\nb,input 1,int16,%,two\n"
    assert sorted(said(OWN, own_toml=PROFILE, points_csv=table)) == [
        'points.csv:1: unknown key "typ"; did you mean "type"?',
        'points.csv:1: unknown key "untis"; did you mean "unit"?',
        'points.csv:2: points.a.type: unknown type "int17"; did you mean "int16"?',
        'points.csv:3: points.b.digits: cannot read "two"; write it as in 2',
    ]


@pytest.mark.parametrize("cell", ["[0, 200]", "[0,200]", "0..200"])
def test_a_range_may_be_written_as_in_a_profile(tmp_path, cell):
    (tmp_path / "points.csv").write_text(f'name,at,type,range\na,input 0,int16,"{cell}"\n', encoding="utf-8")
    (tmp_path / "own.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "site.toml").write_text(OWN, encoding="utf-8")
    assert load_site(tmp_path / "site.toml").instruments[0].points[0].range == (0, 200)


def test_a_table_without_a_point_is_a_problem(said):
    assert said(OWN, own_toml=PROFILE, points_csv="name,at,type\n") == [
        'own.toml:2: points: needs its points: a table [points], or points = "points.csv"'
    ]


def test_a_disabled_row_may_have_the_name_of_another(said):
    table = "name,at,type,enabled\na,input 0,int16,no\na,input 1,int16,\na,input 2,int16,no\n"
    assert said(OWN, own_toml=PROFILE, points_csv=table) == []


def test_a_table_that_is_not_there_or_not_utf_8_is_a_problem(said, tmp_path):
    assert said(OWN, own_toml=PROFILE) == ["points.csv: there is no such file; check the path"]
    (tmp_path / "points.csv").write_bytes("name,at,type,title\na,input 0,int16,硫\n".encode("gbk"))
    assert said(OWN, own_toml=PROFILE) == ["points.csv:2: this is not UTF-8 text; save the file as UTF-8"]


def test_a_broken_quote_is_a_problem_with_its_line(said):
    (sentence,) = said(OWN, own_toml=PROFILE, points_csv='name,at,type\na,"input" 0,int16\n')
    assert sentence.startswith("points.csv:2: this is not a table with commas: ")


def test_an_override_reaches_a_point_of_a_table(said):
    site = edited(OWN, "unit = 3", "unit = 3\npoints.a.digits = 99\npoints.b.digits = 1")
    table = "name,at,type\na,input 0,int16\n"
    assert said(site, own_toml=PROFILE, points_csv=table) == [
        'site.toml:32: instrument "stack-1", points.a.digits: must be at most 12',
        'site.toml:33: instrument "stack-1", points.b: profile "own" has no point "b"; known: a',
    ]
