"""Register maps for the tests: short ways to write an instrument, and any instrument hypothesis can think of."""

from hypothesis import strategies as st

from parkgate.config.profile import Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.modbus.route import Route, Turn

TABLES = ("coil", "discrete", "input", "holding")
NUMBERS = (
    "int16", "int32", "int64", "uint16", "uint32", "uint64", "float32", "float64", "double", "bcd16", "bcd32",
)  # fmt: skip


def point(at, kind="uint16", **more):
    return Point(name=more.pop("name", "p"), at=at, type=kind, **more)


def instrument(*points, **more):
    """An instrument of these points, each renamed after its position."""
    named = tuple(each.model_copy(update={"name": f"p{index}"}) for index, each in enumerate(points))
    given = {"name": "stack-1", "line": "tcp-1", "every": 1_000, "profile": "p", "protocol": "modbus", "unit": 3}
    return Instrument(points=named, **(given | more))


orders = st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"])
own_orders = st.none() | orders


@st.composite
def points(draw, most=300, own=own_orders):
    register = draw(st.integers(0, most))
    kind = draw(st.sampled_from((*NUMBERS, "bool", "string")))
    if kind == "bool":
        table = draw(st.sampled_from(TABLES))
        bit = draw(st.none() | st.integers(0, 15)) if table in {"input", "holding"} else None
        return point(f"{table} {register}" if bit is None else f"{table} {register}.{bit}", "bool")
    table = draw(st.sampled_from(["input", "holding"]))
    if kind == "string":
        kind = f"string:{draw(st.integers(1, 20))}"
    scale, offset = draw(st.sampled_from([(1.0, 0.0), (1.0, 0.0), (0.1, 0.0), (-2.5, 40.0)]))
    return point(
        f"{table} {register}",
        kind,
        order=draw(own),
        scale=scale,
        offset=offset,
        digits=draw(st.none() | st.integers(0, 3)),
        as_=draw(st.sampled_from(["number", "number", "string"])),
    )


@st.composite
def states(draw, most=300):
    register, table = draw(st.integers(0, most)), draw(st.sampled_from(TABLES))
    if table in {"coil", "discrete"}:
        return State(at=f"{table} {register}", equals=1, flag="fault")
    if draw(st.booleans()):
        return State(at=f"{table} {register}.{draw(st.integers(0, 15))}", equals=1, flag="fault")
    kind = draw(st.sampled_from([None, "uint16", "int16", "uint32", "int32", "int64", "uint64"]))
    low = draw(st.integers(0, 15))
    bits = draw(st.none() | st.tuples(st.just(low), st.integers(low, 15)))
    return State(at=f"{table} {register}", type=kind, bits=bits, equals=1, flag="fault")


@st.composite
def instruments(draw, most=300, size=25):
    """Half of them big-endian throughout: their answers are unpacked where they stand, gaps skipped."""
    plain = draw(st.booleans())
    own = st.none() if plain else own_orders
    return instrument(
        *draw(st.lists(points(most, own), min_size=1, max_size=size)),
        states=tuple(draw(st.lists(states(most), max_size=4))),
        max_gap=draw(st.integers(0, 124)),
        order="ABCD" if plain else draw(orders),
    )


def data_of(block, image):
    """The bytes an instrument sends for a block. `image(table, register)` gives a word, or a bit of a bit table."""
    places = range(block.start, block.start + block.count)
    if block.of_bits:
        packed = bytearray(block.size)
        for index, place in enumerate(places):
            packed[index // 8] |= image(block.table, place) << index % 8
        return bytes(packed)
    return b"".join(image(block.table, place).to_bytes(2, "big") for place in places)


def snapshot(site, image):
    """What one turn gives when the instrument answers every block from an image."""
    turn = Turn(Route(site), 0)
    while block := turn.next():
        turn.take(block, data_of(block, image))
    return turn.close(0)


def words(text, start=0, table="holding"):
    """An image of one table from the hexadecimal words of a manual, `start` being the first register."""
    given = dict(enumerate((int(word, 16) for word in text.split()), start))

    def image(asked, register):
        assert asked == table
        return given[register]

    return image


def wire_bits(text, start, table):
    """An image of a bit table from the bytes of a reply as printed in the protocol's specification."""
    data = bytes.fromhex(text)

    def image(asked, place):
        assert asked == table
        return data[(place - start) // 8] >> (place - start) % 8 & 1

    return image
