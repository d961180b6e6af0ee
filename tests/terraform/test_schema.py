"""Terraform's own checks run without a cloud: the stacks pass, and every kind of mistake is found with its file and line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import terraform_check
from terraform_offline import ROOT, TerraformFailed, offline, stacks
from terraform_schema import SCHEMAS, SOURCES, WHEELS, _Module, extract, rendered, used_providers, used_types, wheel_of

STACK = """terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "8.7.0"
    }
  }
}

variable "project" {
  type = string
}

locals {
  dataset = "ads"
}

resource "google_bigquery_dataset" "ads" {
  dataset_id = local.dataset
  project    = var.project
}

resource "google_bigquery_table" "example" {
  dataset_id = google_bigquery_dataset.ads.dataset_id
  table_id   = "example"

  time_partitioning {
    type = "DAY"
  }
}
"""
PLAN = 'mock_provider "google" {\n}\n\nrun "plan" {\n  command = plan\n}\n'


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack of one dataset and one table in which nothing is wrong."""
    (tmp_path / "main.tf").write_text(STACK, encoding="utf-8")
    for environment in ("dev", "prod"):
        path = tmp_path / "environments" / f"{environment}.tfvars"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'project = "{environment}"\n', encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "plan.tftest.hcl").write_text(PLAN, encoding="utf-8")
    return tmp_path


def changed(stack: Path, old: str, new: str) -> int:
    """Replace ``old`` in the stack's file; the line of the first difference."""
    assert old in STACK
    text = STACK.replace(old, new, 1)
    (stack / "main.tf").write_text(text, encoding="utf-8")
    return next(n for n, (a, b) in enumerate(zip([*STACK.splitlines(), ""], text.splitlines(), strict=False), 1) if a != b)


@pytest.mark.parametrize("stack", stacks(), ids=lambda path: path.name)
def test_the_stacks_have_nothing_wrong(terraform: Any, stack: Path) -> None:
    """Format, schema, variables of both environments, plan and its assertions."""
    assert [str(finding) for finding in terraform_check.findings(terraform, stack)] == []


def test_a_good_stack_passes(terraform: Any, stack: Path) -> None:
    """Without a mistake nothing is found: what the tests below find is what they plant."""
    assert terraform_check.findings(terraform, stack) == []


FOREIGN_KEY = """  table_constraints {
    foreign_keys {
      column_references {
        referenced_column  = "a"
        referencing_column = "b"
      }
    }
  }"""
MISTAKES = {
    "a wrong argument": (
        'table_id   = "example"',
        'tabel_id   = "example"',
        r'Unsupported argument: .*"tabel_id" is not expected',
        "tabel_id",
    ),
    "a string where a bool must be": (
        'table_id   = "example"',
        'table_id   = "example"\n  deletion_protection = "maybe"',
        r'Incorrect attribute value type: .*"deletion_protection": a bool is required',
        "deletion_protection",
    ),
    "a word where a number must be": (
        'table_id   = "example"',
        'table_id   = "example"\n  expiration_time = "never"',
        r'Incorrect attribute value type: .*"expiration_time": a number is required',
        "expiration_time",
    ),
    "a string where a list must be": (
        'table_id   = "example"',
        'table_id   = "example"\n  clustering = "account_id"',
        r'Incorrect attribute value type: .*"clustering": list of string required',
        "clustering",
    ),
    "a missing argument": (
        '  table_id   = "example"\n',
        "",
        r'Missing required argument: The argument "table_id" is required',
        'resource "google_bigquery_table"',
    ),
    "a missing argument in a block": (
        '    type = "DAY"\n',
        "",
        r'Missing required argument: The argument "type" is required',
        "time_partitioning {",
    ),
    "a missing block": (
        'type = "DAY"\n  }',
        f'type = "DAY"\n  }}\n{FOREIGN_KEY}',
        r"Insufficient referenced_table blocks: At least 1",
        "foreign_keys {",
    ),
    "an unknown block": (
        "time_partitioning {",
        "time_partitionning {",
        r'Unsupported block type: .*"time_partitioning"\?',
        "time_partitionning {",
    ),
    "a block as an argument": (
        'time_partitioning {\n    type = "DAY"\n  }',
        'time_partitioning = [{\n    type = "DAY"\n  }]',
        r'Unsupported argument: An argument named "time_partitioning" is not expected here. Did you mean to define a block',
        "time_partitioning = [",
    ),
    "an argument as a block": (
        'table_id   = "example"',
        'table_id   = "example"\n  labels {\n    a = "b"\n  }',
        r'Unsupported block type: Blocks of type "labels" are not expected here. Did you mean to define argument',
        "labels {",
    ),
    "two blocks where one may be": (
        'type = "DAY"\n  }',
        'type = "DAY"\n  }\n  time_partitioning {\n    type = "HOUR"\n  }',
        r"Too many time_partitioning blocks: No more than 1",
        "time_partitioning {",
    ),
    "a wrong argument in a dynamic block": (
        'time_partitioning {\n    type = "DAY"\n  }',
        'dynamic "time_partitioning" {\n    for_each = [1]\n    content {\n      typ = "DAY"\n    }\n  }',
        r'Unsupported argument: An argument named "typ" is not expected here. Did you mean "type"\?',
        'typ = "DAY"',
    ),
    "a wrong meta-argument": (
        'table_id   = "example"',
        'table_id   = "example"\n  lifecycle {\n    prevent_destruction = true\n  }',
        r'Unsupported argument: An argument named "prevent_destruction"',
        "prevent_destruction",
    ),
    "an unknown variable": (
        "var.project",
        "var.projekt",
        r'Reference to undeclared input variable: .* Did you mean "project"\?',
        "var.projekt",
    ),
    "an unknown local": (
        "local.dataset",
        "local.datasets",
        r'Reference to undeclared local value: .* Did you mean "dataset"\?',
        "local.datasets",
    ),
    "an unknown resource": (
        "google_bigquery_dataset.ads.dataset_id",
        "google_bigquery_dataset.ad.dataset_id",
        r'Reference to undeclared resource: A managed resource "google_bigquery_dataset" "ad" has not been declared',
        "google_bigquery_dataset.ad.dataset_id",
    ),
    "an unknown attribute of a resource": (
        "google_bigquery_dataset.ads.dataset_id",
        "google_bigquery_dataset.ads.dataset_ids",
        r'Unsupported attribute: This object has no argument, nested block, or exported attribute named "dataset_ids"',
        "dataset_ids",
    ),
    "an unknown resource type": (
        'resource "google_bigquery_table" "example"',
        'resource "google_bigquery_tabel" "example"',
        r'Invalid resource type: .*"google_bigquery_tabel". Did you mean "google_bigquery_table"\?$',
        'resource "google_bigquery_tabel"',
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_where_it_stands(terraform: Any, stack: Path, mistake: str) -> None:
    """The finding names the file, the line and what is wrong."""
    old, new, message, planted = MISTAKES[mistake]
    changed(stack, old, new)
    found = terraform.validate(stack)
    (finding,) = (finding for finding in found if re.search(message, finding.message))
    assert finding.file == stack / "main.tf"
    assert planted in finding.file.read_text(encoding="utf-8").splitlines()[finding.line - 1]


def test_a_type_that_the_provider_has_and_the_extract_has_not_says_what_to_do(stack: Path, tmp_path: Path) -> None:
    """Not every type of the provider is in the extract; the finding says that this one exists, and which command adds it."""
    schemas = tmp_path / "schema"
    schemas.mkdir()
    document = json.loads((SCHEMAS / "google.json").read_text(encoding="utf-8"))
    del document["provider_schemas"]["registry.terraform.io/hashicorp/google"]["resource_schemas"]["google_bigquery_table"]
    (schemas / "google.json").write_text(json.dumps(document), encoding="utf-8")
    with offline(schemas) as terraform:
        messages = [finding.message for finding in terraform.validate(stack)]
    assert any(message.endswith("It exists; `make terraform-schema` adds it to google.json.") for message in messages), messages


def test_what_is_not_formatted_is_found_by_line(terraform: Any, stack: Path) -> None:
    """`terraform fmt` would align the equals signs again."""
    line = changed(stack, 'table_id   = "example"', 'table_id = "example"')
    (finding,) = terraform.unformatted(stack)
    assert (finding.file.name, finding.message) == ("main.tf", "is not as `terraform fmt` writes it")
    assert abs(finding.line - line) <= 4


def test_variables_and_locals_that_nobody_reads_are_found(stack: Path) -> None:
    """They are named with their line."""
    changed(stack, "local.dataset\n  project    = var.project", '"ads"')
    assert [str(finding).removeprefix(f"{stack}/") for finding in terraform_check.unused(stack)] == [
        'main.tf:11: variable "project" is never used',
        "main.tf:16: local.dataset is never used",
    ]


def test_values_of_the_environments_are_held_against_the_variables(stack: Path) -> None:
    """A value no variable takes, one that only one environment has, and one that none has."""
    declared = 'variable "project" {\n  type = string\n}\n'
    changed(stack, declared, declared + '\nvariable "region" {\n  type = string\n}\n')
    (stack / "environments" / "dev.tfvars").write_text('project = "dev"\nzone = "b"\n', encoding="utf-8")
    assert [str(finding).removeprefix(f"{stack}/environments/") for finding in terraform_check.values_of_environments(stack)] == [
        'dev.tfvars:2: "zone" is no variable of the stack',
        'dev.tfvars:1: "region" has no default and no value',
        'prod.tfvars:1: "zone" is set for another environment and not here',
        'prod.tfvars:1: "region" has no default and no value',
    ]


def test_what_fails_in_the_plan_only_is_found(terraform: Any, stack: Path) -> None:
    """A valid reference into an empty list fails when its values are known; so does an assertion of the stack's own test."""
    changed(stack, 'dataset = "ads"', 'dataset = split(",", var.project)[1]')
    (finding,) = terraform_check.plans(terraform, stack)
    assert re.search("Invalid index", finding.message)
    with pytest.raises(TerraformFailed, match="Invalid index"):
        terraform.plan(stack, "dev")


def test_the_extract_is_of_the_providers_that_the_stacks_pin() -> None:
    """Each stack requires exactly the version whose schema it is checked against; the extract says which package it is from."""
    assert used_providers() == {path.stem for path in SCHEMAS.glob("*.json")}
    for provider in used_providers():
        source = SOURCES[provider]
        document = json.loads((SCHEMAS / f"{provider}.json").read_text(encoding="utf-8"))
        assert document["source"] == {**source.__dict__, "license": "MPL-2.0"}
        for stack in stacks():
            text = "\n".join(path.read_text(encoding="utf-8") for path in stack.glob("*.tf"))
            for version in re.findall(rf'source\s*=\s*"hashicorp/{provider}"\s*version\s*=\s*"([^"]+)"', text):
                assert version == source.provider_version, stack.name
    assert f'version = "{SOURCES["google"].provider_version}"' in STACK


def test_the_extract_is_what_the_package_says() -> None:
    """Made anew from the pinned wheel it is the same; a schema edited by hand would be found here."""
    for provider in sorted(used_providers()):
        source = SOURCES[provider]
        if not (WHEELS / source.wheel).is_file():
            pytest.skip(f"{source.wheel} (67 MB) is not in .local/wheels; `make terraform-schema` fetches it")
        document = extract(source, provider, wheel_of(source), used_types())
        assert rendered(document) == (SCHEMAS / f"{provider}.json").read_text(encoding="utf-8")


GENERATED = """
function exampleRuleToHclTerraform(struct) {
    const attrs = {
        age: {
            value: x(struct.age),
            isBlock: false,
            type: "simple",
            storageClassType: "number",
        },
    };
}
class ExampleRuleOutputReference extends cdktn.ComplexObject {
    // age - computed: false, optional: false, required: true
    _age;
    get age() {
        return this.getNumberAttribute('age');
    }
}
class ExampleRuleList extends cdktn.ComplexList {
    get(index) {
        return new ExampleRuleOutputReference(this.terraformResource);
    }
}
class ExampleEndpointOutputReference extends cdktn.ComplexObject {
    // uri - computed: true, optional: false, required: false
    get uri() {
        return this.getStringAttribute('uri');
    }
}
class ExampleEndpointList extends cdktn.ComplexList {
    get(index) {
        return new ExampleEndpointOutputReference(this.terraformResource);
    }
}
class Example extends cdktn.TerraformResource {
    // ==========
    // ATTRIBUTES
    // ==========
    // endpoints - computed: true, optional: false, required: false
    _endpoints = new ExampleEndpointList(this, "endpoints", false);
    // name - computed: false, optional: false, required: true
    get name() {
        return this.getStringAttribute('name');
    }
    // scopes - computed: true, optional: true, required: false
    get scopes() {
        return cdktn.Fn.tolist(this.getListAttribute('scopes'));
    }
    // labels - computed: true, optional: false, required: false
    _labels = new cdktn.StringMap(this, "labels");
    // one - computed: false, optional: true, required: false
    _one = new ExampleRuleOutputReference(this, "one");
    // rule - computed: false, optional: false, required: true
    _rule = new ExampleRuleList(this, "rule", false);
    synthesizeHclAttributes() {
        const attrs = {
            one: {
                value: x(this._one.internalValue),
                isBlock: true,
                type: "list",
                storageClassType: "ExampleRuleList",
            },
            rule: {
                value: x(this._rule.internalValue),
                isBlock: true,
                type: "set",
                storageClassType: "ExampleRuleList",
            },
        };
    }
}
"""


def test_the_schema_is_read_from_the_generated_classes() -> None:
    """Types, flags, blocks that are one or many, required blocks, sets, and lists of objects that only the cloud fills."""
    inside = {"attributes": {"age": {"type": "number", "required": True}}}
    assert _Module(GENERATED).block("Example") == {
        "attributes": {
            "endpoints": {"type": ["list", ["object", {"uri": "string"}]], "computed": True},
            "name": {"type": "string", "required": True},
            "scopes": {"type": ["set", "string"], "computed": True, "optional": True},
            "labels": {"type": ["map", "string"], "computed": True},
        },
        "block_types": {
            "one": {"nesting_mode": "list", "block": inside, "max_items": 1},
            "rule": {"nesting_mode": "set", "block": inside, "min_items": 1},
        },
    }


def test_the_command_says_file_and_line_and_ends_with_one(stack: Path) -> None:
    """What `make terraform-check` prints is what an editor can jump to."""
    changed(stack, 'table_id   = "example"', 'tabel_id   = "example"')
    script = ROOT / "scripts" / "terraform_check.py"
    ran = subprocess.run([sys.executable, script, stack], capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stderr
    assert (
        f'{stack}/main.tf:26: Unsupported argument: An argument named "tabel_id" is not expected here. Did you mean "table_id"?'
        in ran.stdout
    )
