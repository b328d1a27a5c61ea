"""Machine-made mistakes: code changed by rule, one place at a time, that some check must notice."""
