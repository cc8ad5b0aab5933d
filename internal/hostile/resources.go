package hostile

import (
	"bytes"
	"strings"
)

// resources are small files that ask for much memory or time.
func resources() []Case {
	const million = 1 << 20
	ten := func(name, what, op, head, tail string) Case {
		return Case{Name: name + ".pkl", What: what, Make: func() []byte { return repeat(proto(4)+head, op, 10*million/len(op), tail+".") }, Scan: "unreadable", Read: Refused}
	}
	laughs := func(n int, open, closing string) string {
		return proto(2) + open + "q\x00" + strings.Repeat(open+"(h\x00h\x00"+closing+"q\x00", n) + "."
	}
	return []Case{
		ten("marks", "ten million marks: 384 bytes each in one reader", "(", "", "N"),
		ten("dicts", "ten million empty dicts on the stack", "}", "", ""),
		ten("lists", "ten million empty lists on the stack", "]", "", ""),
		ten("sets", "ten million empty sets on the stack", "\x8f", "", ""),
		ten("nones", "ten million values on the stack", "N", "", ""),
		ten("memos", "ten million memo entries of one value", "\x94", "N", ""),
		ten("lists_in_list", "three million empty lists in a list", "]a", "](N1", ""),
		ten("sets_in_list", "three million empty sets in a list", "\x8fa", "]", ""),
		ten("ordered_dicts", "OrderedDicts by the hundred thousand", "h\x00)R0", "ccollections\nOrderedDict\nq\x000N", ""),
		ten("objects", "unknown objects by the million", "h\x00)\x810", "cmypackage\nThing\nq\x000N", ""),
		ten("ints_in_tuple", "a tuple of five million numbers", "K\x05", "(", "t"),
		ten("nested_tuples", "ten million tuples in each other", "\x85", "N", ""),
		ten("memo_far_apart", "memo entries as far apart as is allowed, and further", "Nr\x00\x00\x00\x7f0", "", "N"),
		{Name: "globals.pkl", What: "300,000 different globals", Make: func() []byte {
			var b bytes.Buffer
			b.WriteString(proto(2) + "]")
			for i := range 300_000 {
				b.WriteString("cm" + itoa(i) + "\nN\na")
			}
			b.WriteString(".")
			return b.Bytes()
		}, Scan: "unreadable", Read: Refused},
		{Name: "nested_lists_million.pkl", What: "a million lists in each other", Make: func() []byte { return repeat(proto(2), "]", million, strings.Repeat("a", million-1)+".") }, Scan: "unreadable", Read: Refused},
		{Name: "nested_lists.pkl", What: "100,000 lists in each other: a recursive reader overflows its stack", Make: func() []byte { return repeat(proto(2), "]", 100_000, strings.Repeat("a", 99_999)+".") }, Scan: "safe", Read: Refused},
		{Name: "laughs_lists.pkl", What: "lists that hold one list twice, 64 deep", Make: text(laughs(64, "]", "e")), Scan: "safe", Read: Refused},
		{Name: "laughs_tuples.pkl", What: "tuples that hold one tuple twice, 64 deep", Make: text(proto(2) + ")q\x00" + strings.Repeat("h\x00h\x00\x86q\x00", 64) + "."), Scan: "safe", Read: Refused},
		{Name: "laughs_dicts.pt", What: "dicts that hold one dict twice, 40 deep, and a tensor in the middle: 2^40 names", Make: pt(proto(2) + dict(str("w"), whole) + "q\xff" + strings.Repeat("}("+str("a")+"h\xff"+str("b")+"h\xffuq\xff", 40) + "."), Scan: "safe", Read: Refused},
		{Name: "list_in_itself.pt", What: "a list that holds itself", Make: pt(beside("]q\x63h\x63a")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "dict_in_itself.pt", What: "a dict that holds itself", Make: pt(proto(2) + "}q\x63(" + str("w") + whole + str("self") + "h\x63u."), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "object_in_itself.pt", What: "an object that is its own state", Make: pt(beside("cargparse\nNamespace\n)\x81q\x63}(" + str("me") + "h\x63ub")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
		{Name: "long_key_again.pkl", What: "a key of 8 MB that is hashed 100,000 times", Make: func() []byte {
			return repeat(proto(2)+str(strings.Repeat("k", 8*million))+"q\x000}(", "h\x00N", 100_000, "u.")
		}, Scan: "unreadable", Read: Refused},
		{Name: "long_key_as_name.pt", What: "a key of 60 KB above 20,000 tensors: a gigabyte of names", Make: func() []byte {
			inner := repeat("}(", "", 0, "")
			for i := range 20_000 {
				inner = append(inner, str(itoa(i))+"h\x00"...)
			}
			return torch(proto(2) + whole + "q\x000" + dict(str(strings.Repeat("k", 60_000)), string(inner)+"u") + ".")
		}, Scan: "safe", Read: Refused},
		{Name: "state_again.pkl", What: "a state of 100,000 entries given 20,000 times", Make: func() []byte {
			return repeat(proto(2)+"}q\x00("+strings.Repeat("K\x01K\x02", 100_000)+"u0ccollections\nOrderedDict\n)R", "h\x00b", 20_000, ".")
		}, Scan: "unreadable", Read: Refused},
		{Name: "list_copied.pkl", What: "a list of a million numbers copied a million times", Make: func() []byte {
			return repeat(proto(2)+"]q\x00("+strings.Repeat("K\x01", million)+"e0cbuiltins\nlist\nq\x010N", "h\x01h\x00\x85R0", million, "N.")
		}, Scan: "unreadable", Read: Refused},
		{Name: "keywords_copied.pkl", What: "a tuple of 100,000 arguments given to 100,000 calls", Make: func() []byte {
			return repeat(proto(4)+"("+strings.Repeat("N", 100_000)+"tq\x00cmypackage\nThing\nq\x010", "h\x01h\x00}\x920", 100_000, "N.")
		}, Scan: "unreadable", Read: Refused},
		{Name: "long_integers.pkl", What: "integers of 255 bytes by the thousand", Make: func() []byte {
			return repeat(proto(2)+"]", "\x8a\xff"+strings.Repeat("\x7f", 255)+"a", 20_000, ".")
		}, Scan: "safe", Read: Refused},
		{Name: "many_pickles.pkl", What: "a million pickles back to back", Make: func() []byte { return repeat("", "\x80\x02N.", million, "") }, Scan: "safe", Read: Refused},
		{Name: "many_members.zip", What: "300,000 members", Make: func() []byte {
			a := archive{wide: func(h []byte) []byte { return h }, end: func(h []byte) []byte { return put16(10, 0xffff)(put16(8, 0xffff)(h)) }}
			for i := range 300_000 {
				a.entries = append(a.entries, entry{name: "archive/" + itoa(i)})
			}
			return a.bytes()
		}, Scan: "safe", Read: Refused},
		{Name: "many_tensors_one_storage.pt", What: "100,000 tensors over one storage", Make: func() []byte {
			var b bytes.Buffer
			b.WriteString(proto(2) + whole + "q\x000}(")
			for i := range 100_000 {
				b.WriteString(str("w"+itoa(i)) + "h\x00")
			}
			b.WriteString("u.")
			return torch(b.String())
		}, Scan: "safe", Read: Right},
	}
}
