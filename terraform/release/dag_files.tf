# The DAGs, the plugin and the images they name, into the bucket that Composer reads. A file that is gone here goes there, too.
data "google_composer_environment" "this" {
  name   = var.composer_environment
  region = var.region
}

locals {
  bucket = regex("^gs://([^/]+)/dags$", data.google_composer_environment.this.config[0].dag_gcs_prefix)[0]

  dag_files    = setunion(fileset("${path.module}/../../dags", "*.py"), fileset("${path.module}/../../dags", "images.lock.json"))
  plugin_files = setsubtract(fileset("${path.module}/../../plugins", "**"), fileset("${path.module}/../../plugins", "**/*.pyc"))
  files = setunion(
    [for file in local.dag_files : "dags/${file}"],
    [for file in local.plugin_files : "plugins/${file}"],
  )
}

resource "google_storage_bucket_object" "file" {
  for_each = local.files

  bucket         = local.bucket
  name           = each.key
  source         = "${path.module}/../../${each.key}"
  source_md5hash = filemd5("${path.module}/../../${each.key}")

  # What a new DAG reads is there before the DAG is.
  depends_on = [google_bigquery_table.kept, google_bigquery_table.other, google_bigquery_table.view]
}
