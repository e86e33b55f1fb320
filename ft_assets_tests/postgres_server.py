"""Databases of their own on the PostgreSQL server that FT_ASSETS_TEST_POSTGRES_URL names."""

import contextlib
import os
import uuid
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of an empty database, which is dropped at the end. Skips the test where there is no server."""
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    server_url = os.environ.get("FT_ASSETS_TEST_POSTGRES_URL")
    if not server_url:
        pytest.skip("FT_ASSETS_TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"ft_assets_{uuid.uuid4().hex}"
    server = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        server.dispose()
