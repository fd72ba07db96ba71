"""Published figures by name, the report of a run, and the tables of numbers beside the papers'."""
