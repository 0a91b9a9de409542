"""The command `provision`: one file per group of verbs; each verb returns an exit code."""
