"""Providers that know their schema and nothing else, for Terraform to ask while no registry and no cloud can be reached.

Terraform's plugin protocol is gRPC; with ``TF_REATTACH_PROVIDERS`` Terraform talks to a provider that runs already. These serve
``terraform/schema/PROVIDER.json`` and find every configuration right that has the schema's form: what has to be found wrong,
Terraform finds itself. Nothing can be planned for real or applied with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import getpid
from pathlib import Path
from typing import Any

import grpc

_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
# Methods whose empty answer means: nothing to complain of. Any other call is answered UNIMPLEMENTED and fails loudly.
_CONTENT = {
    "ValidateProviderConfig",
    "ValidateResourceConfig",
    "ValidateDataResourceConfig",
    "ValidateEphemeralResourceConfig",
    "ConfigureProvider",
    "StopProvider",
}


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(tag: int, value: int) -> bytes:
    """A protobuf field of kind int or bool; zero is what is not sent."""
    return _varint(tag << 3) + _varint(value) if value else b""


def _bytes(tag: int, value: bytes | str) -> bytes:
    """A protobuf field of kind bytes, string or message."""
    raw = value.encode() if isinstance(value, str) else value
    return _varint(tag << 3 | 2) + _varint(len(raw)) + raw


def _attribute(name: str, spec: dict[str, Any]) -> bytes:
    flags = ((4, "required"), (5, "optional"), (6, "computed"), (7, "sensitive"), (11, "write_only"))
    return (
        _bytes(1, name) + _bytes(2, json.dumps(spec["type"])) + b"".join(_number(tag, spec.get(key, False)) for tag, key in flags)
    )


def _block(block: dict[str, Any]) -> bytes:
    attributes = [_bytes(2, _attribute(name, spec)) for name, spec in block.get("attributes", {}).items()]
    nested = [
        _bytes(
            3,
            _bytes(1, name)
            + _bytes(2, _block(spec["block"]))
            + _number(3, _NESTING[spec["nesting_mode"]])
            + _number(4, spec.get("min_items", 0))
            + _number(5, spec.get("max_items", 0)),
        )
        for name, spec in block.get("block_types", {}).items()
    ]
    return b"".join([*attributes, *nested])


def _schema(schema: dict[str, Any]) -> bytes:
    return _number(1, schema["version"]) + _bytes(2, _block(schema["block"]))


def schema_response(provider: dict[str, Any]) -> bytes:
    """``tfplugin6.GetProviderSchema.Response`` of a provider as ``terraform providers schema -json`` writes it."""
    maps = [
        _bytes(tag, _bytes(1, name) + _bytes(2, _schema(schema)))
        for tag, key in ((2, "resource_schemas"), (3, "data_source_schemas"), (8, "ephemeral_resource_schemas"))
        for name, schema in provider.get(key, {}).items()
    ]
    return _bytes(1, _schema(provider["provider"])) + b"".join(maps)


class _Provider(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, provider: dict[str, Any]) -> None:
        self._answer = schema_response(provider)

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, _, method = call.method.removeprefix("/").partition("/")
        if service != "tfplugin6.Provider":
            return None
        answers = {"GetProviderSchema": self._answer, **dict.fromkeys(_CONTENT, b"")}
        answer = answers.get(method)
        return None if answer is None else grpc.unary_unary_rpc_method_handler(lambda *_: answer)


@contextmanager
def serving(schemas: Path, sockets: Path) -> Iterator[str]:
    """Serve every schema of folder ``schemas`` on a socket in ``sockets``; yields the value of ``TF_REATTACH_PROVIDERS``."""
    servers = []
    attached = {}
    try:
        for path in sorted(schemas.glob("*.json")):
            for address, provider in json.loads(path.read_text(encoding="utf-8"))["provider_schemas"].items():
                server = grpc.server(ThreadPoolExecutor(4), handlers=[_Provider(provider)])
                socket = sockets / f"{path.stem}.sock"
                server.add_insecure_port(f"unix:{socket}")
                server.start()
                servers.append(server)
                attached[address] = {
                    "Protocol": "grpc",
                    "ProtocolVersion": 6,
                    "Pid": getpid(),
                    "Test": True,
                    "Addr": {"Network": "unix", "String": str(socket)},
                }
        yield json.dumps(attached)
    finally:
        for server in servers:
            server.stop(None).wait()
