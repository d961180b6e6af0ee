mock_provider "google" {}
mock_provider "kubernetes" {}

run "plan" {
  command = plan
}
