# The table contracts, include/sql/DATASET/TABLE/table.yaml, as BigQuery takes them: the same that tasks/core/contracts.py makes of
# them for the jobs. tests/terraform/test_tables.py holds the two against each other, column by column.
locals {
  sql = "${path.module}/../../include/sql"

  texts     = { for file in fileset(local.sql, "*/*/table.yaml") : replace(dirname(file), "/", ".") => file("${local.sql}/${file}") }
  contracts = { for name, text in local.texts : name => yamldecode(text) }
  queries   = { for file in fileset(local.sql, "*/*/view.sql") : replace(dirname(file), "/", ".") => file("${local.sql}/${file}") }
  datasets  = toset([for name in keys(local.texts) : split(".", name)[0]])

  tables = setsubtract(keys(local.texts), keys(local.queries))
  views  = setintersection(keys(local.texts), keys(local.queries))
  # What act and govern wrote cannot be made again: a table of theirs is never destroyed by Terraform.
  kept = toset([for name in local.tables : name if local.contracts[name].owner == "money"])

  bigquery_types = { INT64 = "INTEGER", FLOAT64 = "FLOAT", BOOL = "BOOLEAN" }

  # yamldecode sorts keys; columns keep the order in which the contract has them.
  columns = {
    for name in local.tables : name => flatten(regexall("(?m)^  ([a-z][a-z0-9_]*):", split("\nfields:\n", local.texts[name])[1]))
  }
  schemas = {
    for name in local.tables : name => [
      for column in local.columns[name] : merge(
        {
          name        = column
          type        = lookup(local.bigquery_types, local.contracts[name].fields[column].type, local.contracts[name].fields[column].type)
          mode        = try(local.contracts[name].fields[column].repeated, false) ? "REPEATED" : try(local.contracts[name].fields[column].required, false) ? "REQUIRED" : "NULLABLE"
          description = local.contracts[name].fields[column].description
        },
        {
          for key in ["policyTags"] : key => { names = [google_data_catalog_policy_tag.personal[split(".", name)[0]].name] }
          if try(local.contracts[name].fields[column].pii, false)
        },
      )
    ]
  }

  # A view does not know the default project of the one who asks it. As tasks/core/warehouse/dialect.py: qualified().
  reads = { for name, query in local.queries : name => distinct(flatten(regexall("(?:FROM|JOIN)\\s+(\\w+\\.\\w+)", query))) }
  qualified = {
    for name, query in local.queries : name =>
    replace(query, "/(^|[^\\w.`-])(${replace(join("|", local.reads[name]), ".", "\\.")})\\b/", "$${1}`${var.project}`.$${2}")
  }
}
