/* Stand-in, of neuraltalk-provision's tests. CMake's FindCUDA knows a toolkit's headers by this file. */
