variable "project" {
  description = "Google Cloud project of the environment."
  type        = string
}

variable "region" {
  description = "Region of Composer and of all buckets, for example europe-west1."
  type        = string
}

variable "environment" {
  description = "dev or prod: the name of the tfvars file."
  type        = string
}

variable "bigquery_location" {
  description = "Where the datasets lie, for example EU; the jobs' setting AELP2_BIGQUERY_LOCATION says the same."
  type        = string
}

variable "composer_environment" {
  description = "Name of the Composer environment, which stack platform makes."
  type        = string
}

variable "runner" {
  description = "composer or gke, as in stack platform: whose account the pods are."
  type        = string

  validation {
    condition     = contains(["composer", "gke"], var.runner)
    error_message = "composer or gke."
  }
}

variable "dashboard_readers" {
  description = "Who may read dataset dashboard, for example group:growth@my-company.example."
  type        = set(string)

  validation {
    condition     = alltrue([for reader in var.dashboard_readers : can(regex("^(group|user|serviceAccount):[^@]+@[^@]+$", reader))])
    error_message = "Each is group:ADDRESS, user:ADDRESS or serviceAccount:ADDRESS."
  }
}
