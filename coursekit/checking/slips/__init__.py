"""What a hand that slips makes of our answers: to name a reader's, and to try the checks."""
