package hostile

import (
	"fmt"
	"strings"
)

// broken are pickles that no pickler writes: what is wrong is in the stream.
func broken() []Case {
	cases := []Case{
		{Name: "reduce_then_garbage.pkl", What: "runs a program, then breaks: Python has run it by then", Make: text(proto(2) + runs + "\xff\xff"), Scan: "dangerous", Read: Danger},
		refused("no_stop", "ends without STOP", proto(2)+num(1)),
		refused("empty_stack", "STOP without a value", proto(2)+"."),
		refused("unknown_opcode", "a byte that is no instruction", proto(2)+num(1)+"\xf0."),
		refused("opcode_ff", "byte 0xff, past the end of one reader's table", proto(2)+"\xff."),
		refused("opcode_00", "byte 0x00", proto(2)+"\x00."),
		refused("protocol_6", "a protocol that does not exist", proto(6)+"N."),
		refused("protocol_255", "protocol 255", proto(255)+"N."),
		refused("protocol_twice", "two protocols", proto(2)+proto(4)+"N."),
		refused("protocol_late", "a protocol in the middle", proto(2)+"N0"+proto(2)+"N."),
		refused("frame_past_end", "a frame longer than the file", proto(4)+"\x95"+le64(1000)+"N."),
		refused("frame_huge", "a frame of 2^60 bytes", proto(4)+"\x95"+le64(1<<60)+"N."),
		refused("frame_8_gb", "a frame of 2^33 bytes", proto(4)+"\x95"+le64(1<<33)+"N."),
		refused("frame_negative", "a frame of 2^63+1 bytes", proto(4)+"\x95"+le64(1<<63+1)+"N."),
		refused("frame_nested", "a frame in a frame", proto(4)+"\x95"+le64(11)+"\x95"+le64(1)+"N."),
		refused("frame_straddled", "a string that crosses the end of its frame", proto(4)+"\x95"+le64(3)+short("hello")+"."),
		refused("frame_cuts_operand", "a frame that ends inside an operand", proto(4)+"\x95"+le64(2)+"J"+le32(1)+"."),
		{Name: "frame_hides_call.pkl", What: "a frame boundary at which two unpicklers part, in front of os.system", Make: text(proto(4) + "\x95" + le64(4) + short("abc") + "0" + runs + "."), Scan: "dangerous", Read: Danger},
		refused("stop_inside_frame", "STOP with bytes of the frame behind it", proto(4)+"\x95"+le64(10)+"N."+"\x00\x00\x00\x00\x00\x00\x00\x00"),
		refused("setitems_odd", "SETITEMS of a key without a value", proto(2)+"}("+str("a")+num(1)+str("b")+"u."),
		refused("dict_odd", "DICT of a key without a value", "("+str("a")+"d."),
		refused("setitems_no_dict", "SETITEMS with nothing below the mark", proto(2)+"("+str("a")+num(1)+"u."),
		refused("appends_no_mark", "APPENDS without a mark", proto(2)+"]"+num(1)+"e."),
		refused("tuple_no_mark", "TUPLE without a mark", proto(2)+num(1)+"t."),
		refused("obj_empty", "OBJ without a class", proto(2)+"(o."),
		refused("pop_empty", "POP of nothing", proto(2)+"0N."),
		refused("pop_mark_empty", "POP_MARK without a mark", proto(2)+"1N."),
		refused("dup_empty", "DUP of nothing", proto(2)+"2."),
		refused("dup_under_mark", "DUP of what lies below a mark", proto(2)+"N(2."),
		refused("tuple2_under_mark", "TUPLE2 across a mark", proto(2)+"NN(N\x86."),
		refused("put_empty", "PUT of nothing", proto(2)+"q\x00N."),
		refused("put_negative", "PUT of a negative entry", "Np-1\n."),
		refused("put_no_number", "PUT of an entry that is no number", "Npabc\n."),
		refused("put_far", "LONG_BINPUT of entry 2^31: CPython reserves 16 GB", proto(2)+"Nr\xff\xff\xff\x7f."),
		refused("get_missing", "GET of an entry that was never stored", proto(2)+"h\x05."),
		refused("get_missing_long", "LONG_BINGET of entry 2^32-1", proto(2)+"j\xff\xff\xff\xff."),
		refused("get_text_huge", "GET of entry 10^30", "g1"+strings.Repeat("0", 30)+"\n."),
		refused("long4_negative", "LONG4 of a negative length", proto(2)+"\x8b\xff\xff\xff\xff."),
		refused("long4_past_end", "LONG4 longer than the file", proto(2)+"\x8b\x00\x00\x00\x10\x01."),
		refused("long4_100_kb", "an integer of 100 KB, slow to decode", proto(2)+"\x8b"+le32(100<<10)+strings.Repeat("\x7f", 100<<10)+"."),
		refused("binstring_negative", "BINSTRING of a negative length", proto(1)+"T\xff\xff\xff\xffabc."),
		refused("binbytes_4_gb", "BINBYTES of 4 GB in a file of 20 bytes", proto(3)+"B\xff\xff\xff\xffabc."),
		refused("binbytes8_huge", "BINBYTES8 of 2^60 bytes", proto(4)+"\x8e"+le64(1<<60)+"abc."),
		refused("binbytes8_1_tb", "BINBYTES8 of 2^40 bytes", proto(4)+"\x8e"+le64(1<<40)+"abc."),
		refused("binunicode8_huge", "BINUNICODE8 of 2^60 bytes", proto(4)+"\x8d"+le64(1<<60)+"abc."),
		refused("binunicode8_negative", "BINUNICODE8 of 2^64-1 bytes", proto(4)+"\x8d"+le64(1<<64-1)+"abc."),
		refused("bytearray8_huge", "BYTEARRAY8 of 2^60 bytes", proto(5)+"\x96"+le64(1<<60)+"abc."),
		refused("unicode_invalid", "text that is not UTF-8", proto(2)+str("a\xff\xfeb")+"."),
		refused("string_unquoted", "STRING without quotes", "Sabc\n."),
		refused("string_one_quote", "STRING with one quote", "S'\n."),
		refused("string_no_newline", "STRING without a newline", "S'abc'."),
		refused("int_underscore", "an integer that Python reads and others do not", "I1_000\n."),
		refused("int_empty", "an integer of no digits", "I\n."),
		refused("long_text_1_mb", "an integer of a million decimal digits", "L"+strings.Repeat("9", 1<<20)+"L\n."),
		refused("float_hex", "a float in hexadecimal, which Python refuses", "F0x1p-2\n."),
		refused("float_text", "a float that is a word", "Finfinity-ish\n."),
		refused("global_no_newline", "GLOBAL without a newline", proto(2)+"cos.system."),
		refused("global_empty", "GLOBAL without names", proto(2)+"c\n\n."),
		refused("global_line_1_mb", "GLOBAL with a module name of a megabyte", proto(2)+"c"+strings.Repeat("a", 1<<20)+"\nb\n."),
		refused("global_not_utf8", "GLOBAL whose name is not UTF-8", proto(2)+"c\xff\xfe\nb\n."),
		{Name: "next_buffer.pkl", What: "a buffer that is not in the file", Make: text(proto(5) + "\x97."), Scan: "safe", Read: Refused},
		{Name: "reduce_not_tuple.pt", What: "REDUCE whose arguments are no tuple", Make: pt(beside(global("builtins", "list") + num(1) + "R")), Scan: "safe", Read: Refused},
		{Name: "newobj_not_tuple.pt", What: "NEWOBJ whose arguments are no tuple", Make: pt(beside(global("builtins", "list") + num(1) + "\x81")), Scan: "safe", Read: Refused},
		{Name: "append_to_int.pt", What: "APPEND to a number", Make: pt(beside(num(1) + num(2) + "a")), Scan: "safe", Read: Refused},
		{Name: "setitem_on_tuple.pt", What: "SETITEM on a tuple", Make: pt(beside(tuple(num(1)) + num(1) + num(2) + "s")), Scan: "safe", Read: Refused},
		{Name: "setitem_on_tensor.pt", What: "SETITEM on a tensor", Make: pt(proto(2) + dict(str("w"), whole+num(0)+num(9)+"s") + "."), Scan: "safe", Read: Refused},
		{Name: "build_on_none.pt", What: "BUILD on None", Make: pt(beside("N" + dict(str("a"), num(1)) + "b")), Scan: "safe", Read: Refused},
		{Name: "rebuild_no_arguments.pt", What: "_rebuild_tensor_v2 without arguments", Make: pt(proto(2) + dict(str("w"), global("torch._utils", "_rebuild_tensor_v2")+")R") + "."), Scan: "safe", Read: Refused},
		{Name: "rebuild_wrong_types.pt", What: "_rebuild_tensor_v2 of numbers", Make: pt(proto(2) + dict(str("w"), rebuild(num(1), num(2), num(3), num(4))) + "."), Scan: "safe", Read: Refused},
		{Name: "array_bad_format.pt", What: "array.array with a machine format that does not exist", Make: pt(beside(reduce(global("array", "_array_reconstructor"), global("array", "array"), str("q"), num(99), data("abc")))), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "bytes_as_ordered_key.pt", What: "a byte string as key of an OrderedDict, which a Go map cannot hold", Make: pt(beside(ordered + "(" + data("k") + num(1) + "u")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "bytes_in_set.pt", What: "a byte string in a set", Make: pt(beside("\x8f(" + data("k") + "\x90")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "bytes_in_frozenset.pt", What: "a byte string in a frozenset", Make: pt(beside("(" + data("k") + "\x91")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "list_as_key.pt", What: "a list as a key", Make: pt(beside(dict(list(num(1)), num(1)))), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "long_zero.pt", What: "the integer 0 in no bytes, as Python 2 writes it", Make: pt(beside("\x8a\x00")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "long4_zero.pt", What: "the same as LONG4", Make: pt(beside("\x8b\x00\x00\x00\x00")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "duplicate_key.pt", What: "a tensor's name twice: Python keeps the last", Make: pt(proto(2) + dict(str("w"), num(1), str("w"), whole) + "."), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "open_mark_at_stop.pt", What: "STOP while a mark is open", Make: pt(proto(2) + "(" + dict(str("w"), whole) + "."), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "rest_on_stack.pt", What: "values left on the stack at STOP", Make: pt(proto(2) + num(1) + num(2) + dict(str("w"), whole) + "."), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
	}
	for _, n := range []int{1, 2, 3, 8, 13, 30, 47, 80, 100, 120, 130} {
		whole := state(whole)
		cases = append(cases, Case{Name: fmt.Sprintf("truncated_%03d.pt", n), What: fmt.Sprintf("data.pkl that ends after %d of its bytes", n), Make: pt(whole[:n]), Scan: "unreadable", Read: Refused})
	}
	return cases
}

// refused is a bare pickle that must not be read.
func refused(name, what, pickle string) Case {
	return Case{Name: name + ".pkl", What: what, Make: text(pickle), Scan: "unreadable", Read: Refused}
}
