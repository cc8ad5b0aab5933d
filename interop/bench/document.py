"""Tables in documents, between a pair of markers."""


def table(head, rows):
    """Returns a table in Markdown whose first column is text and whose others are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fill(path, name, text):
    """Replaces what is between the markers of that name in a document."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, rest = path.read_text().split(begin)
    path.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}")
