"""What scripts/local_airflow.py does before anything of Airflow runs."""

import socket

import pytest
from local_airflow import reserve_port


def test_a_kept_port_goes_to_the_server_alone() -> None:
    """Whoever asks for any port or for this one is given none of it; a server that sets SO_REUSEADDR, as uvicorn does, has it."""
    with reserve_port(None) as held:
        here = held.getsockname()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(here)
        with socket.create_server(here) as server, socket.create_connection(here), server.accept()[0]:
            pass
    with reserve_port(here[1]) as again:
        assert again.getsockname() == here


def test_a_port_that_somebody_has_is_given_up() -> None:
    """An Airflow that starts again where another program listens on its port by now takes another one."""
    with socket.create_server(("127.0.0.1", 0)) as server, reserve_port(server.getsockname()[1]) as held:
        assert held.getsockname()[1] != server.getsockname()[1]
