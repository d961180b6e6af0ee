# What a plan in an empty project makes; run with -var-file=environments/ENV.tfvars. Nothing is reached: the provider is a mock.
mock_provider "google" {
  override_during = plan

  mock_data "google_composer_environment" {
    defaults = {
      config = [{ dag_gcs_prefix = "gs://europe-west1-aelp2-bucket/dags" }]
    }
  }
}

override_resource {
  target          = google_data_catalog_policy_tag.personal["control"]
  override_during = plan
  values          = { name = "projects/p/locations/eu/taxonomies/1/policyTags/control" }
}

override_resource {
  target          = google_data_catalog_policy_tag.personal["gaelp_users"]
  override_during = plan
  values          = { name = "projects/p/locations/eu/taxonomies/1/policyTags/gaelp_users" }
}

run "plan" {
  command = plan
}
