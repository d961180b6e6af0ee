variable "project" {
  description = "Id of the Google Cloud project of this environment: one project an environment, nothing else in it"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id: 6 to 30 lower case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Where Composer, images and buckets are"
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region such as europe-west1, no zone and no multi-region."
  }
}

variable "environment" {
  description = "dev or prod; names the files in environments/"
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "dev or prod: environments/ holds a policy for each."
  }
}

variable "bigquery_location" {
  description = "Location of the datasets (AELP2_BIGQUERY_LOCATION): EU, US or a region; it cannot be changed later"
  type        = string
}

variable "cost_center" {
  description = "Label cost_center of everything that costs"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9_-]{1,63}$", var.cost_center))
    error_message = "A label's value: up to 63 lower case letters, digits, hyphens, underscores."
  }
}

variable "images_project" {
  description = "Project whose registry holds the images of all environments; the same in each tfvars file, prod's as a rule"
  type        = string
}

variable "runner" {
  description = "composer: pods in Composer's own cluster, all with the environment's account. gke: pods in an own cluster, an account each role"
  type        = string

  validation {
    condition     = contains(["composer", "gke"], var.runner)
    error_message = "composer or gke."
  }
}

variable "gke_project" {
  description = "Project of the runner's cluster, another than `project` (README, Why two projects); empty with runner = composer"
  type        = string

  validation {
    condition     = var.runner == "gke" ? length(var.gke_project) > 0 && var.gke_project != var.project : var.gke_project == ""
    error_message = "With runner = gke a project of its own: in one project Composer's account could read every Secret of the cluster. Else leave it empty."
  }
}

variable "mode" {
  description = "AELP2_MODE: shadow proposes only, live applies what was approved. docs/how-to/go-live.md before you change it"
  type        = string

  validation {
    condition     = contains(["shadow", "live"], var.mode)
    error_message = "shadow or live."
  }
}

variable "settings" {
  description = "Further AELP2_* settings of the jobs (docs/settings.md), such as AELP2_OUTCOMES_URL. Never a secret: everybody who sees the project sees them"
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^AELP2_[A-Z0-9_]+$", name))])
    error_message = "Names begin with AELP2_."
  }
  validation {
    condition     = !anytrue([for name in keys(var.settings) : can(regex("TOKEN|SECRET|PASSWORD|SALT|CREDENTIALS|CONFIG|KEY", name))])
    error_message = "A secret belongs into Secret Manager; salt and credentials are mounted where a pod needs them."
  }
  validation {
    condition = length(setintersection(keys(var.settings), [
      "AELP2_MODE", "AELP2_BACKEND", "AELP2_GCP_PROJECT", "AELP2_BIGQUERY_LOCATION", "AELP2_POLICY", "AELP2_REPORT_DIR",
      "AELP2_GA4_EXPORT", "AELP2_RUNNER", "AELP2_APPROVERS"
    ])) == 0
    error_message = "That one has a variable of its own or follows from others."
  }
}

variable "ga4_export" {
  description = "Dataset of the GA4 export, my-project.analytics_123456; empty: there is none"
  type        = string

  validation {
    condition     = var.ga4_export == "" || can(regex("^[a-z][a-z0-9-]+\\.[A-Za-z0-9_]+$", var.ga4_export))
    error_message = "PROJECT.DATASET, such as my-project.analytics_123456."
  }
}

variable "approvers" {
  description = "User names, as Airflow lists them under Security, Users, that may answer an approval; nobody approves what they proposed"
  type        = list(string)

  validation {
    condition     = length(var.approvers) > 0 && alltrue([for name in var.approvers : can(regex("^[^,\\s]+$", name))])
    error_message = "At least one name, none with a comma or a blank. Without any, everybody who may edit the DAG could approve."
  }
}

variable "web_allowed_ranges" {
  description = "From where Airflow's page can be opened (who may sign in is IAM's business): address range → what it is"
  type        = map(string)

  validation {
    condition     = length(var.web_allowed_ranges) > 0 && alltrue([for range in keys(var.web_allowed_ranges) : can(cidrhost(range, 0))])
    error_message = "At least one range such as 203.0.113.0/24; without any the page is open to every address."
  }
}

variable "worker_max_count" {
  description = "Most Airflow workers at once; a pod occupies a slot of one while it runs"
  type        = number
}

variable "stored_secrets" {
  description = "runner = gke: ids of the secrets that have a version in Secret Manager by now; their values reach the cluster, not the state"
  type        = list(string)

  validation {
    condition     = length(setsubtract(var.stored_secrets, local.secret_ids)) == 0
    error_message = "An id of needs.yaml, section secrets."
  }
}

variable "secrets_revision" {
  description = "runner = gke: raise it after a new version of a secret; Terraform cannot see the values change"
  type        = number
}

variable "alert_email" {
  description = "Address that every alert goes to, a group's rather than a person's"
  type        = string

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+$", var.alert_email))
    error_message = "An e-mail address."
  }
}

variable "page_channels" {
  description = "Notification channels that wake somebody up, for alerts of urgency `now`; made by hand (PagerDuty, phone), their keys are no business of Terraform"
  type        = list(string)

  validation {
    condition     = alltrue([for name in var.page_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", name))])
    error_message = "projects/PROJECT/notificationChannels/NUMBER, as `gcloud beta monitoring channels list` shows it."
  }
}

variable "billing_account" {
  description = "Billing account of the budget, 012345-678901-ABCDEF; empty: no budget, if you may not make one"
  type        = string
}

variable "monthly_budget" {
  description = "What a month may cost, in whole units of the billing account's currency"
  type        = number
}

variable "bigquery_tib_per_day" {
  description = "Quota of bytes that queries may bill in a day, in TiB; half of it in 24 hours is an alert. What is over it is refused until midnight Pacific time"
  type        = number

  validation {
    condition     = var.bigquery_tib_per_day > 0
    error_message = "Above 0: without a quota a wrong query has no limit but 200 TiB."
  }
}

variable "bigquery_slots" {
  description = "Slots of a reservation of its own; 0: pay a query by its bytes"
  type        = number

  validation {
    condition     = var.bigquery_slots >= 0 && var.bigquery_slots % 50 == 0
    error_message = "A multiple of 50, or 0."
  }
}

variable "release_impersonators" {
  description = "Who may act as aelp2-release without a key: group:… or user:…"
  type        = list(string)

  validation {
    condition     = alltrue([for member in var.release_impersonators : can(regex("^(group|user|serviceAccount):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "group:…, user:… or serviceAccount:…; never allUsers."
  }
}

variable "operators" {
  description = "Who may type the commands of a runbook, such as `aelp2 kill`, acting as the pods' accounts: group:… or user:…"
  type        = list(string)

  validation {
    condition     = length(var.operators) > 0 && alltrue([for member in var.operators : can(regex("^(group|user):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "group:… or user:…, at least one: without an operator nobody can throw the kill switch."
  }
}

variable "release_oidc" {
  description = "The CI system that may act as aelp2-release by Workload Identity Federation; null: none. subject is the one repository and branch that may"
  type = object({
    issuer  = string
    subject = string
  })

  validation {
    condition     = var.release_oidc == null || can(regex("^https://", var.release_oidc.issuer)) && !can(regex("[*]", var.release_oidc.subject))
    error_message = "issuer is https://…, subject exactly one, without *."
  }
}
