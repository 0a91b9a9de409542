/* A library for hdf5.h: every file holds one data set, /images. The kind of an id is in its upper bits, as in HDF5. */
#include "hdf5.h"
#include <string.h>

#define ID(kind) ((hid_t)(kind) << (sizeof(hid_t) == 4 ? 24 : 56))

#if SERIES > 108 || RELEASE >= 14
hid_t H5P_CLS_DATASET_CREATE_ID_g = 7;
#else
hid_t H5P_CLS_DATASET_CREATE_g = 7;
#endif

herr_t H5open(void) { return 0; }
herr_t H5get_libversion(unsigned *major, unsigned *minor, unsigned *release) {
    *major = MAJOR, *minor = MINOR, *release = RELEASE;
    return 0;
}
H5I_type_t H5Iget_type(hid_t id) { return id > 0 ? (H5I_type_t)(id / ID(1)) : H5I_BADID; }
long H5Iget_name(hid_t id, char *name, unsigned long size) {
    strncpy(name, H5Iget_type(id) == H5I_DATASET ? "/images" : "/", size);
    return (long)strlen(name);
}
hid_t H5Fopen(const char *name, unsigned access, hid_t plist) { return strstr(name, "absent") ? -1 : ID(H5I_FILE); }
long H5Fget_obj_count(hid_t file, unsigned types) { return 2; }
long H5Fget_obj_ids(hid_t file, unsigned types, unsigned long most, hid_t *ids) {
    ids[0] = ID(H5I_FILE), ids[1] = ID(H5I_DATASET);
    return 2;
}
hid_t H5Oopen(hid_t place, const char *name, hid_t plist) { return ID(strcmp(name, "/") ? H5I_DATASET : H5I_GROUP); }
herr_t H5Oclose(hid_t id) { return 0; }
hid_t H5Gopen2(hid_t place, const char *name, hid_t plist) { return ID(H5I_GROUP); }
hid_t H5Dopen2(hid_t place, const char *name, hid_t plist) { return ID(H5I_DATASET); }
hid_t H5Dget_space(hid_t dataset) { return ID(H5I_DATASPACE); }
hid_t H5Pcreate(hid_t kind) { return kind == 7 ? ID(H5I_DATATYPE) : -1; }
herr_t H5Literate(hid_t group, H5_index_t by, H5_iter_order_t order, hsize_t *at, H5L_iterate_t each, void *data) {
    return each(group, "images", NULL, data);
}
