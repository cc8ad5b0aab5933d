package pickle

// Limits bounds what a pickle or its container may ask for. A zero field means
// the default that is named beside it. The defaults leave an order of magnitude
// over what a checkpoint of 100,000 tensors needs: 10 MB of pickle, 3.2 million
// instructions, 8 memo entries and 32 instructions a tensor, 6 nested marks.
type Limits struct {
	Pickle     int64 // bytes of one pickle; 256 MiB, which is also the largest value that counts
	Opcodes    int64 // instructions of one pickle; 64 Mi
	Marks      int   // marks open at the same time; 1000
	Stack      int   // values on the stack at the same time; 1 Mi
	Memo       int   // memo entries; 16 Mi, and never more than 1 Mi plus one for every two bytes
	Containers int64 // lists, tuples, dicts, sets and objects; 8 Mi
	Text       int64 // bytes of one string; 16 MiB
	Line       int   // bytes of one text operand, such as a module's name; 64 KiB
	Globals    int   // different globals; 16 Ki
	Long       int   // bytes of one integer; 255, which is also the largest value that counts
	Memory     int64 // bytes that building the value may take; 40 MiB, the size of the file, and 16 bytes for each of the pickle
	Work       int64 // bytes that are copied or hashed because a value is used again; 1 GiB
	Nested     int   // pickles inside byte strings of a pickle, all together; 16 Ki, because a plainly pickled tensor is one
	NestDepth  int   // how deep such pickles are nested; 2

	Depth     int   // depth to which values are searched for tensors; 200
	Tensors   int   // tensors of one file; 1 Mi
	Rank      int   // dimensions of a tensor; 8
	NameBytes int   // bytes of a tensor's name; 64 KiB
	Expand    int64 // bytes of a view that repeats its storage; 1 GiB, or four times the storage if that is more

	Entries  int   // members of a zip archive; 1 Mi
	Ratio    int64 // bytes that one compressed byte may inflate to, beyond the first MiB; 100
	Inflated int64 // bytes inflated from one archive; 16 GiB

	file int64 // bytes of the file that the pickle is a part of
}

// maxPickle is the hard end of Limits.Pickle: the audit keeps offsets in 28 bits.
const maxPickle = 1 << 28

// A value may take as much memory as its file is long, and this. The small
// tensors of a state dict take 17 bytes for each of the pickle; what attacks
// memory takes more than 40.
const (
	baseMemory    = 40 << 20
	memoryPerByte = 16
)

// withDefaults returns l with every zero field replaced by its default, except
// Memory, which depends on the pickle.
func (l Limits) withDefaults() Limits {
	l.Pickle = min(or(l.Pickle, maxPickle), maxPickle)
	l.Opcodes = or(l.Opcodes, 64<<20)
	l.Marks = or(l.Marks, 1000)
	l.Stack = or(l.Stack, 1<<20)
	l.Memo = or(l.Memo, 16<<20)
	l.Containers = or(l.Containers, 8<<20)
	l.Text = or(l.Text, 16<<20)
	l.Line = or(l.Line, 64<<10)
	l.Long = min(or(l.Long, 255), 255)
	l.Globals = or(l.Globals, 16<<10)
	l.Work = or(l.Work, 1<<30)
	l.Nested = or(l.Nested, 16<<10)
	l.NestDepth = or(l.NestDepth, 2)
	l.Depth = or(l.Depth, 200)
	l.Tensors = or(l.Tensors, 1<<20)
	l.Rank = or(l.Rank, 8)
	l.NameBytes = or(l.NameBytes, 64<<10)
	l.Expand = or(l.Expand, 1<<30)
	l.Entries = or(l.Entries, 1<<20)
	l.Ratio = or(l.Ratio, 100)
	l.Inflated = or(l.Inflated, 16<<30)
	return l
}

// forFile returns l for pickles that are part of a file, or of a folder of
// files, of size bytes.
func (l Limits) forFile(size int64) Limits {
	l.file = size
	return l
}

// memory returns what the value of a pickle of n bytes may take.
func (l Limits) memory(n int64) int64 {
	return or(l.Memory, baseMemory+max(n, l.file)+memoryPerByte*n)
}

// or returns n, or def if n is zero or below.
func or[T int | int64](n, def T) T {
	if n <= 0 {
		return def
	}
	return n
}
