/* As much of HDF5's header as the stand-in torch-hdf5 uses, and as it differs from release to release. */
#define SERIES (MAJOR * 100 + MINOR)
#include <stddef.h>
#if SERIES < 110
typedef int hid_t;
#else
typedef long hid_t;
#endif
typedef int herr_t;
typedef unsigned long long hsize_t;

herr_t H5open(void);
herr_t H5get_libversion(unsigned *major, unsigned *minor, unsigned *release);

typedef enum H5I_type_t {
    H5I_BADID = -1,
    H5I_FILE = 1,
    H5I_GROUP,
    H5I_DATATYPE,
    H5I_DATASPACE,
    H5I_DATASET,
#if SERIES >= 112
    H5I_MAP,
#endif
    H5I_ATTR,
#if SERIES < 112
    H5I_REFERENCE,
#endif
} H5I_type_t;
H5I_type_t H5Iget_type(hid_t id);
long H5Iget_name(hid_t id, char *name, unsigned long size);

hid_t H5Fopen(const char *name, unsigned access, hid_t plist);
long H5Fget_obj_count(hid_t file, unsigned types);
long H5Fget_obj_ids(hid_t file, unsigned types, unsigned long most, hid_t *ids);
hid_t H5Oopen(hid_t place, const char *name, hid_t plist);
herr_t H5Oclose(hid_t id);
hid_t H5Gopen2(hid_t place, const char *name, hid_t plist);
hid_t H5Dopen2(hid_t place, const char *name, hid_t plist);
hid_t H5Dget_space(hid_t dataset);
hid_t H5Pcreate(hid_t kind);
#if SERIES > 108 || RELEASE >= 14
extern hid_t H5P_CLS_DATASET_CREATE_ID_g;
#else
extern hid_t H5P_CLS_DATASET_CREATE_g;
#endif

typedef enum { H5_INDEX_NAME } H5_index_t;
typedef enum { H5_ITER_NATIVE = 2 } H5_iter_order_t;
#if SERIES < 112
typedef struct H5L_info_t H5L_info_t;
typedef herr_t (*H5L_iterate_t)(hid_t group, const char *name, const H5L_info_t *info, void *data);
herr_t H5Literate(hid_t group, H5_index_t by, H5_iter_order_t order, hsize_t *at, H5L_iterate_t each, void *data);
#else
typedef struct H5L_info2_t H5L_info2_t;
typedef herr_t (*H5L_iterate2_t)(hid_t group, const char *name, const H5L_info2_t *info, void *data);
herr_t H5Literate2(hid_t group, H5_index_t by, H5_iter_order_t order, hsize_t *at, H5L_iterate2_t each, void *data);
#define H5L_iterate_t H5L_iterate2_t
#define H5Literate H5Literate2
#endif
