"""Grading a class: students' code computes in a sandbox, and what it computed is judged outside."""
