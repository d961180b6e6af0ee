mock_provider "google" {}

run "plan" {
  command = plan
}
