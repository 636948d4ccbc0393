"""The one pydantic base of everything that is read from a file: frozen, strict about unknown keys."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A value read from a file once and never changed: unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, str_strip_whitespace=True
    )
