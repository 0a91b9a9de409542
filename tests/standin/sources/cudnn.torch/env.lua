-- The table of the package, for all its files.
return {}
