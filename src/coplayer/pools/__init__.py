"""Who meets whom: the populations that learners are trained against."""
