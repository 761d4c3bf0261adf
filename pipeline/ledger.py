"""The ledger: one line for every row that left, saying at which step, by which number, and for whose sake."""

import pyarrow as pa

# Columns that every table of rows carries beside the user's own.
ID = "__id__"  # int64, hash of (source, position): the same for any split, order, engine and machine
SOURCE = "__source__"  # the file, relative to the dataset path
POSITION = "__position__"  # where in it: byte offset of the line (JSONL), record number (Parquet, CSV), 0 (one text file)
KEY_FIELDS = [pa.field(ID, pa.int64()), pa.field(SOURCE, pa.string()), pa.field(POSITION, pa.int64())]
KEY_COLUMNS = [ID, SOURCE, POSITION]

EXCERPT = 160  # code points of a row's text that its ledger line quotes

SCHEMA = pa.schema([
    *KEY_FIELDS,
    pa.field("step", pa.int32()),  # 1, 2, 3 ... as in the recipe's process list; 0: reading
    pa.field("op", pa.string()),  # the recipe's name of the step; "read"
    # below_min, above_max, in_reversed_range, not_member, no_number, null_text, duplicate, indexed, emptied,
    # not_selected, grouped, error; of a filter with rules: the rule's stat and below_min or above_max
    pa.field("reason", pa.string()),
    pa.field("stat", pa.string()),  # the number that was looked at (column of the stats tables); Jaccard: "similarity"
    pa.field("value", pa.float64()),  # its value for this row
    pa.field("bound", pa.string()),  # what would have stayed: "0.25 <= v"
    pa.field("kept_id", pa.int64()),  # duplicates: the row that stays in this one's place
    pa.field("note", pa.string()),  # anything more, for people
    pa.field("excerpt", pa.string()),  # the beginning of the text
])
