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
