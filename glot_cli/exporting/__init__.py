"""Records in the files of other programs: one file a format, each of which writes what `characters` makes of them."""
