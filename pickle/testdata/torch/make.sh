#!/bin/sh
# Writes the checkpoints in this folder: make.sh PYTHON-WITH-TORCH-2.11 PYTHON-WITH-TORCH-1.13
# Each lies beside a description of what a reader has to find in it.
set -e
cd "$(dirname "$0")"
generator=../../../interop/peers/make_torch_files.py
rm -rf 2.11 1.13
"$1" $generator 2.11 \
	dtype_float64 dtype_float32 dtype_float16 dtype_bfloat16 dtype_int64 dtype_int32 dtype_int16 dtype_int8 dtype_uint8 dtype_bool \
	dtype_complex64 dtype_complex128 dtype_complex32 dtype_float8_e4m3fn dtype_float8_e5m2 dtype_float8_e4m3fnuz dtype_float8_e5m2fnuz \
	dtype_float8_e8m0fnu dtype_float4_e2m1fn_x2 dtype_uint16 dtype_uint32 dtype_uint64 dtype_bits8 dtype_bits16 \
	dtype_bfloat16_legacy dtype_uint16_legacy dtype_float8_e4m3fn_legacy \
	views views_legacy shared shared_legacy empty empty_legacy state_dict training containers cycle quantized quantized_4bit quantized_legacy \
	trainer_checkpoint detector_checkpoint bare_tensor bare_list parameters buffers attributes subclass whole_module own_state \
	sparse sparse_blocks meta conjugated negated nested rebuilt rebuilt_v2 numpy numpy_protocol4 numpy_protocol5 \
	protocol0 protocol1 protocol2 protocol3 protocol4 protocol5 protocol1_legacy protocol5_legacy \
	plain_pickle2 plain_pickle3 plain_pickle4 plain_pickle5 deflated rezipped to_buffer no_crc big_endian tar distributed distributed_2_ranks
"$2" $generator 1.13 \
	views_legacy state_dict training quantized quantized_4bit sparse rebuilt rebuilt_csr parameters whole_module torchscript protocol2_legacy tar plain_pickle2
