#!/usr/bin/env python
"""Writes ``terraform/schema/PROVIDER.json``: what the providers say of every resource type and data source our .tf files use.

Terraform asks a provider for its schema, and providers come from a registry that a build machine need not reach. CDK Terrain
publishes the same schema on PyPI, as the classes it generates from it; each property there says its Terraform name, its type
and whether it is computed, optional or required. This script reads those classes back into the form of
``terraform providers schema -json``. Run it after a new resource type: ``make terraform-schema``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TERRAFORM = ROOT / "terraform"
SCHEMAS = TERRAFORM / "schema"
WHEELS = ROOT / ".local" / "wheels"


@dataclass(frozen=True)
class Source:
    """The wheel a provider's schema is read from, and the version of the provider it was generated from."""

    package: str
    version: str
    sha256: str
    provider_version: str

    @property
    def wheel(self) -> str:
        """File name of the wheel."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


SOURCES = {
    "google": Source(
        "cdktn-provider-google", "21.1.0", "157dead5025d5db5abe48e40cc49f0b6a4d8088fd0498eb17ad5a36bca811b2a", "8.7.0"
    ),
    "google-beta": Source(
        "cdktn-provider-google-beta", "21.1.0", "335670a6abb9f779ee113bc07c9402e12431aa877444039080d224599a436e84", "8.7.0"
    ),
    "kubernetes": Source(
        "cdktn-provider-kubernetes", "17.1.0", "4475622575f2baff8dd1b5008787c3096cbde7e2ea614fab6743c5d1ab6040cf", "3.4.0"
    ),
}

_CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(
    r"// (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+), required: (?P<required>\w+)\n"
    r"(?P<code>.*?)(?=^    // \w+ - computed|^    // =|\Z)",
    re.MULTILINE | re.DOTALL,
)
_NESTED = re.compile(r" = new (?:\w+_\d+\.)?((?:cdktn\.)?\w+)\(this, \"(\w+)\"(?:, (true|false))?\)")
_SCALAR = re.compile(r"return (cdktn\.Fn\.tolist\()?this\.(get\w+Attribute)\(")
_HCL = re.compile(
    r"^\s+(\w+): \{\n\s+value: .*\n\s+isBlock: (true|false),\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\"", re.MULTILINE
)
_HCL_FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_ELEMENT = re.compile(r"get\(\w+\) \{\n\s+return new (?:\w+_\d+\.)?(\w+)\(")
_KIND = re.compile(r'static tfResourceType = "(\w+)"')
_BASES = {"TerraformResource": "resource", "TerraformDataSource": "data", "TerraformEphemeralResource": "ephemeral"}
_SCALARS: dict[str, Any] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getBooleanMapAttribute": ["map", "bool"],
    "getNumberMapAttribute": ["map", "number"],
    "getAnyMapAttribute": ["map", "dynamic"],
    "cdktn.StringMap": ["map", "string"],
    "cdktn.BooleanMap": ["map", "bool"],
    "cdktn.NumberMap": ["map", "number"],
    "cdktn.AnyMap": ["map", "dynamic"],
    "cdktn.StringMapList": ["list", ["map", "string"]],
}
# What the generator calls the same types where a property has no reader, as in a provider's own configuration.
_STORED: dict[str, Any] = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "any": "dynamic",
    "stringList": ["list", "string"],
    "numberList": ["list", "number"],
    "stringMap": ["map", "string"],
    "booleanMap": ["map", "bool"],
}


class _Module:
    """One generated module: the classes of a resource type and of the blocks inside it."""

    def __init__(self, text: str) -> None:
        code = re.sub(r"^//# sourceMappingURL.*$", "", text, flags=re.MULTILINE)
        self.classes = {name: (base, body) for name, base, body in _CLASS.findall(code)}
        self.hcl = {name.lower(): _HCL.findall(body) for name, body in _HCL_FUNCTION.findall(code)}

    def root(self, *bases: str) -> str:
        """Name of the class that is the resource, data source or provider itself."""
        return next(name for name, (base, _) in self.classes.items() if base in bases)

    def element(self, name: str) -> str:
        """The class of the elements of list ``name``; a class that is no list is its own."""
        base, body = self.classes[name]
        if base not in ("ComplexList", "ComplexMap"):
            return name
        found = _ELEMENT.search(body)
        assert found is not None, name
        return found[1]

    def block(self, name: str) -> dict[str, Any]:
        """The block that class ``name`` stands for, as ``terraform providers schema -json`` writes one."""
        base, body = self.classes[name]
        nested = base.startswith("Complex")
        written = _HCL.findall(body) if not nested else self.hcl.get(name.removesuffix("OutputReference").lower(), [])
        kinds = {key: (is_block == "true", kind, stored) for key, is_block, kind, stored in written}
        attributes: dict[str, Any] = {}
        block_types: dict[str, Any] = {}
        for member in _MEMBER.finditer(body):
            flags = {flag: True for flag in ("computed", "optional", "required") if member[flag] == "true"}
            made = _NESTED.search(member["code"])
            is_block, kind, stored = kinds.get(member["name"], (False, "list", ""))
            if made and is_block:
                element = self.element(made[1])
                block_types[member["name"]] = {
                    "nesting_mode": "single" if kind == "struct" else kind,
                    "block": self.block(element),
                    **({"min_items": 1} if "required" in flags and kind != "struct" else {}),
                    **({"max_items": 1} if element == made[1] and kind != "struct" else {}),
                }
            elif is_block:
                inside = {
                    key: {"type": _STORED[of], "optional": True}
                    for key, _, _, of in self.hcl[stored.removesuffix("List").lower()]
                }
                block_types[member["name"]] = {"nesting_mode": kind, "block": {"attributes": inside}, "max_items": 1}
            else:
                attributes[member["name"]] = {"type": self._type(member["code"], made, stored), **flags}
                if member["name"].endswith("_wo"):  # the providers' own convention; the generated classes do not say it
                    attributes[member["name"]]["write_only"] = True
        return {"attributes": attributes, **({"block_types": block_types} if block_types else {})}

    def _type(self, code: str, made: re.Match[str] | None, stored: str) -> Any:
        if made and not made[1].startswith("cdktn."):
            members = self.block(self.element(made[1]))
            fields = {key: value["type"] for key, value in members["attributes"].items()}
            return ["set" if made[3] == "true" else "list", ["object", fields]]
        if made:
            return _SCALARS[made[1]]
        scalar = _SCALAR.search(code)
        if scalar is None:
            return _STORED[stored]
        kind = _SCALARS[scalar[2]]
        return ["set", kind[1]] if scalar[1] else kind


def wheel_of(source: Source, folder: Path = WHEELS) -> Path:
    """The wheel of ``source`` in ``folder``, fetched when it is not there; SystemExit if its bytes are not the pinned ones."""
    path = folder / source.wheel
    if not path.is_file():
        pin = f"{source.package}=={source.version}"
        command = [ROOT / ".tools" / "bin" / "pip", "download", "--quiet", "--no-deps", "--dest", folder, pin]
        subprocess.run(command, check=True)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != source.sha256:
        raise SystemExit(f"{path.name} has SHA-256 {found}, not the pinned {source.sha256}")
    return path


def _modules(archive: io.BytesIO) -> list[str]:
    """The text of every generated module; large ones are spread over several files of a folder."""
    texts: dict[str, list[str]] = {}
    with tarfile.open(fileobj=archive, mode="r:gz") as package:
        for entry in package:
            found = re.fullmatch(r"package/lib/([\w-]+)/(?:index|index-structs/\w+)\.js", entry.name)
            stream = package.extractfile(entry) if found else None
            if found and stream:
                texts.setdefault(found[1], []).append(stream.read().decode())
    return ["\n".join(parts) for parts in texts.values()]


def extract(source: Source, provider: str, wheel: Path, used: set[tuple[str, str]]) -> dict[str, Any]:
    """Schema of the ``used`` types ((``resource``, ``data`` or ``ephemeral``, type name)) and the names of all others."""
    with zipfile.ZipFile(wheel) as outer:
        (inner,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        modules = _modules(io.BytesIO(outer.read(inner)))
    schemas: dict[str, dict[str, Any]] = {kind: {} for kind in _BASES.values()}
    names: dict[str, list[str]] = {kind: [] for kind in _BASES.values()}
    config: dict[str, Any] = {}
    for text in modules:
        found = _KIND.search(text)
        if "extends cdktn.TerraformProvider" in text:
            module = _Module(text)
            config = module.block(module.root("TerraformProvider"))
            del config["attributes"]["alias"]  # Terraform's own
        elif found:
            kind = next(kind for base, kind in _BASES.items() if f"extends cdktn.{base} " in text)
            names[kind].append(found[1])
            if (kind, found[1]) in used:
                module = _Module(text)
                block = module.block(module.root(*_BASES))
                schemas[kind][found[1]] = {"version": 0, "block": block}
    return {
        "source": {**source.__dict__, "license": "MPL-2.0"},
        "format_version": "1.0",
        "provider_schemas": {
            f"registry.terraform.io/hashicorp/{provider}": {
                "provider": {"version": 0, "block": config},
                "resource_schemas": dict(sorted(schemas["resource"].items())),
                "data_source_schemas": dict(sorted(schemas["data"].items())),
                "ephemeral_resource_schemas": dict(sorted(schemas["ephemeral"].items())),
            }
        },
        "all_resources": sorted(names["resource"]),
        "all_data_sources": sorted(names["data"]),
        "all_ephemeral_resources": sorted(names["ephemeral"]),
    }


def used_types(folder: Path = TERRAFORM) -> set[tuple[str, str]]:
    """(``resource``, ``data`` or ``ephemeral``, type name) of every such block in the .tf files under ``folder``."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.tf"))]
    return {found for text in texts for found in re.findall(r'^(resource|data|ephemeral) "(\w+)"', text, re.MULTILINE)}


def used_providers(folder: Path = TERRAFORM) -> set[str]:
    """Names of the providers that the .tf files under ``folder`` require."""
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.tf")]
    return {name for text in texts for name in re.findall(r'source\s*=\s*"hashicorp/([\w-]+)"', text)}


def rendered(document: dict[str, Any]) -> str:
    """The file's text: one line a type, so that a change of the provider reads as a change of lines."""
    head = ("source", "format_version", "all_resources", "all_data_sources", "all_ephemeral_resources")
    lines = ["{", *(f"{json.dumps(key)}: {json.dumps(document[key])}," for key in head)]
    ((address, schema),) = document["provider_schemas"].items()
    lines.append(f'"provider_schemas": {{{json.dumps(address)}: {{')
    lines.append(f'"provider": {json.dumps(schema["provider"])},')
    for key, end in (("resource_schemas", "},"), ("data_source_schemas", "},"), ("ephemeral_resource_schemas", "}")):
        entries = [f"{json.dumps(name)}: {json.dumps(block)}" for name, block in schema[key].items()]
        lines += [f"{json.dumps(key)}: {{", *[f"{entry}{',' * (n < len(entries))}" for n, entry in enumerate(entries, 1)], end]
    return "\n".join([*lines, "}}", "}"]) + "\n"


def main() -> None:
    """Write the schema of every provider in use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    used = used_types()
    for provider in sorted(used_providers()):
        source = SOURCES[provider]
        document = extract(source, provider, wheel_of(source), used)
        path = SCHEMAS / f"{provider}.json"
        path.write_text(rendered(document), encoding="utf-8")
        schema = document["provider_schemas"][f"registry.terraform.io/hashicorp/{provider}"]
        counted = f"{len(schema['resource_schemas'])} resources, {len(schema['data_source_schemas'])} data sources"
        print(f"{path.relative_to(ROOT)}: {counted} of provider {source.provider_version}")
    known = {
        (kind, name)
        for path in SCHEMAS.glob("*.json")
        for kind, key in (("resource", "all_resources"), ("data", "all_data_sources"), ("ephemeral", "all_ephemeral_resources"))
        for name in json.loads(path.read_text(encoding="utf-8"))[key]
    }
    unknown = sorted(name for kind, name in used - known if not name.startswith("terraform_"))
    if unknown:
        sys.exit(f"no provider knows {', '.join(unknown)}")


if __name__ == "__main__":
    main()
