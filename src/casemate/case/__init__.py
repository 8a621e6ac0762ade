"""An incident from its first report to its closure: triage, evidence, playbook, papers, bundle."""
