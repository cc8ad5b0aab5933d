package pickle

// An operand says what follows the byte of an instruction.
type operand uint8

const (
	none    operand = iota
	fixed1          // 1 byte
	fixed2          // 2 bytes
	fixed4          // 4 bytes
	fixed8          // 8 bytes
	line            // text up to a newline
	lines2          // two lines
	count1          // a 1-byte length and as many bytes
	count4          // a 4-byte length and as many bytes
	signed4         // a 4-byte length that must not be negative, and as many bytes
	count8          // an 8-byte length and as many bytes
)

// prefix is the length of the fixed part of each operand: all of it, or the
// length field.
var prefix = [...]int{none: 0, fixed1: 1, fixed2: 2, fixed4: 4, fixed8: 8, line: 0, lines2: 0, count1: 1, count4: 4, signed4: 4, count8: 8}

// An opcode is one instruction of the pickle machine.
type opcode struct {
	name  string // as Lib/pickletools.py calls it
	proto uint8  // the protocol that brought it
	arg   operand
	keeps uint16 // bytes that building its result takes, besides what the operand holds
	run   func(w *auditor, o op) error
}

// What building takes, in bytes of Go memory with what the collector leaves
// lying about: a place in a container that grows, and on the stack while the
// pickle is deepest; the value beside it; a container with nothing in it. Tests
// compare the sums with what processes take.
const (
	slotBytes   = 44
	scalarBytes = slotBytes + 16
	stringBytes = slotBytes + 48
	longBytes   = slotBytes + 112
	tupleBytes  = slotBytes + 40
	listBytes   = slotBytes + 120
	dictBytes   = slotBytes + 200
	objectBytes = slotBytes + 256
	markBytes   = 296
	memoBytes   = 64
	entryBytes  = 64 // of a dict or a set, besides the slots
)

// opcodes is the one table of instructions; a byte without a run is no
// instruction (CPython Lib/pickletools.py, Lib/pickle.py).
var opcodes = [256]opcode{
	'(': {"MARK", 0, none, markBytes, runMark},
	'.': {"STOP", 0, none, 0, runStop},
	'0': {"POP", 0, none, 0, runPop},
	'1': {"POP_MARK", 1, none, 0, runPopMark},
	'2': {"DUP", 0, none, slotBytes, runDup},

	'N':  {"NONE", 0, none, slotBytes, pushOther},
	0x88: {"NEWTRUE", 2, none, slotBytes, pushOther},
	0x89: {"NEWFALSE", 2, none, slotBytes, pushOther},
	'I':  {"INT", 0, line, scalarBytes, runInt},
	'L':  {"LONG", 0, line, longBytes, runLong},
	'F':  {"FLOAT", 0, line, scalarBytes, runFloat},
	'G':  {"BINFLOAT", 1, fixed8, scalarBytes, pushOther},
	'J':  {"BININT", 1, fixed4, scalarBytes, pushOther},
	'K':  {"BININT1", 1, fixed1, slotBytes, pushOther},
	'M':  {"BININT2", 1, fixed2, scalarBytes, pushOther},
	0x8a: {"LONG1", 2, count1, longBytes, runBinLong},
	0x8b: {"LONG4", 2, signed4, longBytes, runBinLong},
	'S':  {"STRING", 0, line, stringBytes, runQuoted},
	'V':  {"UNICODE", 0, line, stringBytes, pushStr},
	'T':  {"BINSTRING", 1, signed4, stringBytes, runText},
	'U':  {"SHORT_BINSTRING", 1, count1, stringBytes, runText},
	'X':  {"BINUNICODE", 1, count4, stringBytes, runUTF8},
	0x8c: {"SHORT_BINUNICODE", 4, count1, stringBytes, runUTF8},
	0x8d: {"BINUNICODE8", 4, count8, stringBytes, runUTF8},
	'B':  {"BINBYTES", 3, count4, stringBytes, pushBytes},
	'C':  {"SHORT_BINBYTES", 3, count1, stringBytes, pushBytes},
	0x8e: {"BINBYTES8", 4, count8, stringBytes, pushBytes},
	0x96: {"BYTEARRAY8", 5, count8, stringBytes, pushBytes},
	0x97: {"NEXT_BUFFER", 5, none, slotBytes, pushOther},
	0x98: {"READONLY_BUFFER", 5, none, 0, runReadOnly},
	'P':  {"PERSID", 0, line, objectBytes, pushOther},
	'Q':  {"BINPERSID", 1, none, objectBytes, runPersistent},
	']':  {"EMPTY_LIST", 1, none, listBytes, pushList},
	'}':  {"EMPTY_DICT", 1, none, dictBytes, pushDict},
	')':  {"EMPTY_TUPLE", 1, none, tupleBytes, pushTuple},
	0x8f: {"EMPTY_SET", 4, none, listBytes, pushSet},
	'l':  {"LIST", 0, none, tupleBytes, runList},
	'd':  {"DICT", 0, none, dictBytes, runDict},
	't':  {"TUPLE", 0, none, tupleBytes, runTuple},
	0x85: {"TUPLE1", 2, none, tupleBytes, runTuple1},
	0x86: {"TUPLE2", 2, none, tupleBytes, runTuple2},
	0x87: {"TUPLE3", 2, none, tupleBytes, runTuple3},
	0x91: {"FROZENSET", 4, none, listBytes, runFrozenSet},
	'a':  {"APPEND", 0, none, slotBytes, runAppend},
	'e':  {"APPENDS", 1, none, 0, runAppends},
	's':  {"SETITEM", 0, none, entryBytes, runSetItem},
	'u':  {"SETITEMS", 1, none, 0, runSetItems},
	0x90: {"ADDITEMS", 4, none, 0, runAddItems},
	'p':  {"PUT", 0, line, memoBytes, runPut},
	'q':  {"BINPUT", 1, fixed1, memoBytes, runPut},
	'r':  {"LONG_BINPUT", 1, fixed4, memoBytes, runPut},
	0x94: {"MEMOIZE", 4, none, memoBytes, runMemoize},
	'g':  {"GET", 0, line, slotBytes, runGet},
	'h':  {"BINGET", 1, fixed1, slotBytes, runGet},
	'j':  {"LONG_BINGET", 1, fixed4, slotBytes, runGet},
	'c':  {"GLOBAL", 0, lines2, stringBytes, runGlobal},
	0x93: {"STACK_GLOBAL", 4, none, tupleBytes, runStackGlobal},
	0x82: {"EXT1", 2, fixed1, slotBytes, runExtension},
	0x83: {"EXT2", 2, fixed2, slotBytes, runExtension},
	0x84: {"EXT4", 2, fixed4, slotBytes, runExtension},
	'R':  {"REDUCE", 0, none, objectBytes, runReduce},
	'b':  {"BUILD", 0, none, slotBytes, runBuild},
	'i':  {"INST", 0, lines2, objectBytes, runInst},
	'o':  {"OBJ", 1, none, objectBytes, runObj},
	0x81: {"NEWOBJ", 2, none, objectBytes, runNewObj},
	0x92: {"NEWOBJ_EX", 4, none, objectBytes, runNewObjEx},
	0x80: {"PROTO", 2, fixed1, 0, runProto},
	0x95: {"FRAME", 4, fixed8, 0, runFrame},
}
