-- Stand-in for cwrap: writes a C function that returns its name.
return { CInterface = function(name) return ("const char *%s(void) { return \"%s\"; }\n"):format(name, name) end }
