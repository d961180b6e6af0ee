# What a plan in an empty project makes; run with -var-file=environments/ENV.tfvars. Nothing is reached: the provider is a mock.
mock_provider "google" {
  override_during = plan

  mock_data "google_composer_environment" {
    defaults = {
      config = [{ dag_gcs_prefix = "gs://europe-west1-aelp2-bucket/dags" }]
    }
  }

  mock_resource "google_data_catalog_policy_tag" {
    defaults = {
      name = "projects/p/locations/eu/taxonomies/1/policyTags/2"
    }
  }
}

run "plan" {
  command = plan
}
