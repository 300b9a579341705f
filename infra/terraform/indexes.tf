# The code lists documents by id alone (functions/gateway/documents/firestore_queries.py): forwards by
# name, which every database can, backwards by the hidden field `~id`, because names have no index
# that descends. No query combines fields, so no composite index is needed. tests/infra derives both
# statements from the code, and fails when a query comes that lacks its index.
#
# All other fields are read and never asked for. Their indexes would only slow and enlarge each write,
# most of all those of `state`, `records`, `segments` and `sketches`, a few hundred kilobytes of text
# each, and of a limiter's hundreds of counters. So a collection's fields have no index, save `~id`.
locals {
  # An id here is a collection's, wherever it stands in a path.
  collections = toset([
    "archive",
    "audit",
    "cards",
    "catalog",
    "commits",
    "entities",
    "fingerprints",
    "flags",
    "global",
    "holds",
    "keys",
    "limits",
    "members",
    "ops",
    "owners",
    "requests",
    "segments",
    "sessions",
    "staging",
    "subjects",
    "usage",
    "versions",
    "workspaces",
  ])

  # Whose documents may have a time after which nobody needs them. Firestore deletes them within a
  # day of it; the code looks at the time itself. Not `archive`: Firestore knows no legal hold, and would
  # delete what the sweep (functions/gateway/retention/archive.py) leaves alone. The sweep deletes it.
  expiring = toset(["audit", "global", "keys", "requests", "staging", "subjects"])
}

resource "google_firestore_field" "unindexed" {
  for_each = local.collections

  database   = google_firestore_database.memory.name
  collection = each.key
  field      = "*"

  index_config {}
}

resource "google_firestore_field" "id" {
  for_each = local.collections

  database   = google_firestore_database.memory.name
  collection = each.key
  field      = "`~id`" # quoted, as field paths want names with symbols in them

  index_config {
    indexes {
      order       = "ASCENDING"
      query_scope = "COLLECTION"
    }
    indexes {
      order       = "DESCENDING"
      query_scope = "COLLECTION"
    }
  }
}

resource "google_firestore_field" "expiry" {
  for_each = local.expiring

  database   = google_firestore_database.memory.name
  collection = each.key
  field      = "expires_at"

  index_config {} # values that only grow would make one hot range of the index
  ttl_config {}
}
