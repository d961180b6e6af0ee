# Who may type the commands of a runbook (docs/runbooks/by_hand.md), `aelp2 kill` first of all. They act as the accounts of the pods: a
# project's owner cannot read the columns of `control` that name people, and so could not read a switch back. Such a person could
# also write an approval: they are as trusted as whoever may change DAG files.
resource "google_service_account_iam_member" "operator" {
  for_each = { for pair in setproduct(distinct([for role in keys(local.roles) : local.identity[role]]), var.operators) : join(" ", pair) => pair }

  service_account_id = google_service_account.aelp2[each.value[0]].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value[1]
}
