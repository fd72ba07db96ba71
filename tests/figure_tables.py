"""What tests of figures share: their tables read back, and the names of methods in them."""

LABELS = {"coala": "COALA-PG", "m_fos": "M-FOS", "batch_unaware": "batch-unaware", "lola_dice": "LOLA-DiCE"}


def rows_of(text):
    """A table as {quantity: (paper, mean, values, verdict)}."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    return {row[0]: (row[1], float(row[2].split()[0]), row[5].split(), row[6]) for row in cells}
