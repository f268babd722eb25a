"""One module for each table or figure: `compute` returns a typed result, `table` and `draw` show it."""
