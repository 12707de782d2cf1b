"""Who may do what: roles and permissions in a table, evaluated here or by an OPA sidecar."""
