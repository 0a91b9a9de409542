/* Stand-in, of neuraltalk-provision's tests: nvcc's word about compilers that are too new for it. */
#ifndef STANDIN_HOST_CONFIG_H
#define STANDIN_HOST_CONFIG_H
#if defined(__CUDACC__) && defined(__GNUC__) && !defined(__NV_NO_HOST_COMPILER_CHECK)
#if __GNUC__ > @GCC_MAJOR@ || (__GNUC__ == @GCC_MAJOR@ && __GNUC_MINOR__ > @GCC_MINOR@)
#error -- unsupported GNU version! gcc versions later than @GCC@ are not supported!
#endif
#endif
/* Where nvcc puts the code for cards, here the names of the architectures are. */
#ifdef __STANDIN_ARCHITECTURES__
__asm__(".pushsection .nv_fatbin,\"a\"\n.asciz \"stand-in code for" __STANDIN_ARCHITECTURES__ "\"\n.popsection");
#endif
#endif
