/* Stand-in: only the line that an edit adds to. Nothing includes this file. */
TH_API int THTensor_(isContiguous)(const THTensor *self);
