package cpu

var vectorKernels []kernels
