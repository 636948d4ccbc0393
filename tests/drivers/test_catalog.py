"""What is imported when."""

import subprocess
import sys

import pytest

ASK = """
import sys
from parkgate.config.site import Line
from parkgate.drivers.catalog import load
load([Line(name="l", url=url, security=None) for url in sys.argv[1:]])
print("asyncua" in sys.modules)
"""


@pytest.mark.parametrize(
    ("urls", "loaded"),
    [((), "False"), (("modbus-tcp://h",), "False"), (("modbus-tcp://h", "opc.tcp://h"), "True")],
    ids=["none", "modbus", "both"],
)
def test_the_library_of_a_protocol_is_loaded_where_a_line_speaks_it_and_nowhere_else(urls, loaded):
    told = subprocess.run([sys.executable, "-c", ASK, *urls], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == loaded
