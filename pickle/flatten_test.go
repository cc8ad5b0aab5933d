package pickle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/smelt-project/smelt/tensor"
)

// shared is a checkpoint over one storage of six numbers.
func shared(t *testing.T, value string) []byte {
	t.Helper()
	return torchZip(t, value, zipPart{"0", counting(6)})
}

func TestNamesFollowTheObject(t *testing.T) {
	w := pyVector("0", 6)
	module := func(state ...string) string {
		return pyBuild(pyNew("torch.nn.modules.linear.Linear"), pyDict(state...))
	}
	for _, c := range []struct {
		name, value string
		want        []string
	}{
		{"a bare tensor", w, []string{"tensor"}},
		{"dict keys in order", pyDict(pyStr("b"), w, pyStr("a"), w), []string{"b", "a"}},
		{"integer keys", pyDict(pyInt(3), w, pyInt(-1), w), []string{"3", "-1"}},
		{"other keys", pyDict("N", w, "\x88", w, pyFloat(0.5), w, pyTuple(pyStr("a"), pyInt(1)), w, pyBytes("k"), w), []string{"None", "True", "0.5", "('a', 1)", `b"k"`}},
		{"lists and tuples", pyList(w, pyTuple(w, w)), []string{"0", "1.0", "1.1"}},
		{"sets", "\x8f(" + w + "\x90", []string{"0"}},
		{"OrderedDict without its _metadata", pyBuild(pyCall("collections.OrderedDict")+"("+pyStr("a")+w+"u", pyDict(pyStr("_metadata"), w)), []string{"a"}},
		{"OrderedDict of Python 2", pyCall("collections.OrderedDict", pyList(pyList(pyStr("b"), w), pyList(pyStr("a"), w))), []string{"b", "a"}},
		{"a module", module(pyStr("training"), "\x88", pyStr("_parameters"), pyDict(pyStr("weight"), w), pyStr("_buffers"), pyDict(pyStr("mean"), w),
			pyStr("_modules"), pyDict(pyStr("0"), module(pyStr("_parameters"), pyDict(pyStr("bias"), w)))), []string{"weight", "mean", "0.bias"}},
		{"attributes of an unknown object", pyDict(pyStr("o"), pyBuild(pyNew("my.Thing"), pyDict(pyStr("t"), w))), []string{"o.t"}},
		{"slots", pyBuild(pyNew("my.Thing"), pyTuple(pyDict(pyStr("a"), w), pyDict(pyStr("b"), w))), []string{"a", "b"}},
		{"a state that is a tuple", pyBuild(pyNew("my.Thing"), pyTuple(w, pyInt(1), w)), []string{"0", "2"}},
		{"a state that is a tensor", pyBuild(pyNew("my.Thing"), w), []string{"state"}},
		{"a subclass of dict", pyNew("my.Dict") + "(" + pyStr("a") + w + "u", []string{"a"}},
		{"a subclass of list", pyNew("my.List") + "(" + w + "e", []string{"0"}},
		{"attributes of a tensor", pyDict(pyStr("p"), pyBuild(pyCall("torch.nn.parameter.Parameter", w), pyDict(pyStr("grad"), w))), []string{"p", "p.grad"}},
		{"duplicate key: the last value at the first place", pyDict(pyStr("a"), pyInt(1), pyStr("b"), w, pyStr("a"), w), []string{"a", "b"}},
		{"keys that Python holds to be equal", pyDict(pyInt(1), pyInt(5), "\x88", w), []string{"1"}},
		{"a cycle", "}q\x01(" + pyStr("w") + w + pyStr("self") + "h\x01" + pyStr("list") + "](h\x01" + w + "eu", []string{"w", "list.1"}},
		{"a container under two names", pyDict(pyStr("a"), pyDict(pyStr("w"), w)+"q\x01", pyStr("b"), "h\x01"), []string{"a.w", "b.w"}},
		{"one dotted name twice", pyDict(pyStr("a"), pyDict(pyStr("b"), w), pyStr("a.b"), w, pyStr("a.b#2"), w), []string{"a.b", "a.b#2", "a.b#2#2"}},
		{"an empty key", pyDict(pyStr(""), w), []string{`""`}},
		{"control characters", pyDict(pyStr("a\x1b[31m\n\x00b"), w), []string{`a\x1b[31m\n\x00b`}},
		{"bytes that are not UTF-8", pyDict("U\x02\xff\xfe", w), []string{`\xff\xfe`}},
		{"an escape and what looks like it", pyDict(pyStr("\n"), w, pyStr(`\n`), w), []string{`\n`, `\n#2`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantNames(t, mustRead(t, shared(t, c.value), Options{}), c.want...)
		})
	}
}

func TestChangedNamesAreNoted(t *testing.T) {
	w := pyVector("0", 6)
	for name, value := range map[string]string{
		`""`:         pyDict(pyStr(""), w),
		`a\n`:        pyDict(pyStr("a\n"), w),
		"a.b#2":      pyDict(pyStr("a"), pyDict(pyStr("b"), w), pyStr("a.b"), w),
		"<tensor 0>": pyDict(w, w),
	} {
		m := mustRead(t, shared(t, value), Options{})
		wantNote(t, m, "names that are taken, empty or unprintable were changed: "+name)
	}
}

func TestArgumentsOfUnknownCallsAreTakenOnRequest(t *testing.T) {
	w := pyVector("0", 6)
	value := pyDict(pyStr("w"), w, pyStr("q"), pyCall("my.Quantized", pyDict(pyStr("deep"), pyList(w)), pyInt(8)))
	m := mustRead(t, shared(t, value), Options{})
	wantNames(t, m, "w")
	wantNote(t, m, "not taken, because their meaning is not known: q.0.deep.0 (argument of my.Quantized)")
	if n, ok := m.Meta.Int("q.1"); !ok || n != 8 {
		t.Errorf("q.1 = %d, %v; want 8", n, ok)
	}
	wantNames(t, mustRead(t, shared(t, value), Options{TakeUnknown: true}), "w", "q.0.deep.0")
}

func TestContainerInAnArgumentIsStillReadElsewhere(t *testing.T) {
	w := pyVector("0", 6)
	value := pyDict(pyStr("x"), pyCall("my.Thing", pyDict(pyStr("w"), w)+"q\x01"), pyStr("y"), "h\x01")
	wantNames(t, mustRead(t, shared(t, value), Options{}), "y.w")
}

func TestTensorsWithoutDataAreNoted(t *testing.T) {
	value := pyDict(pyStr("w"), pyVector("0", 6), pyStr("m"), pyCall("torch._utils._rebuild_meta_tensor_no_storage", pyGlobal("torch.float32"), pyInts(3), pyInts(1), "\x89"))
	m := mustRead(t, shared(t, value), Options{})
	wantNames(t, m, "w")
	wantNote(t, m, "tensors without data: m (meta device)")
}

func TestFileWithoutTensorsIsAnErrorThatSaysWhatItHolds(t *testing.T) {
	_, err := readBytes(shared(t, pyDict(pyStr("epoch"), pyInt(3))), Options{})
	wantError(t, err, tensor.ErrNotFound, "holds no tensor, its value is: dict")
	_, err = readBytes(shared(t, pyCall("my.Thing", pyVector("0", 6))), Options{})
	wantError(t, err, tensor.ErrNotFound, "instance of my.Thing", "0 (argument of my.Thing)")
}

func TestPathsThatMultiplyAreRefused(t *testing.T) {
	for name, value := range map[string]string{
		"tensors":    pyList(pyVector("0", 6)) + "q\x01" + strings.Repeat("](h\x01h\x01eq\x01", 40),
		"empty ones": pyList(pyTensor(pyStorage("torch.FloatStorage", "0", 6), 0, []int64{0}, []int64{1})) + "q\x01" + strings.Repeat("](h\x01h\x01eq\x01", 40),
		"storages":   pyList(pyStorage("torch.FloatStorage", "0", 6)) + "q\x01" + strings.Repeat("](h\x01h\x01eq\x01", 40),
	} {
		_, err := readBytes(shared(t, value), Options{})
		if wantError(t, err, tensor.ErrTooLarge, "so many paths"); t.Failed() {
			t.Log(name)
		}
	}
}

func TestNestingDeeperThanTheLimitIsRefused(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("]", n) + pyVector("0", 6) + strings.Repeat("a", n) }
	mustRead(t, shared(t, deep(200)), Options{})
	_, err := readBytes(shared(t, deep(201)), Options{})
	wantError(t, err, tensor.ErrTooLarge, "nested deeper than 200")
	mustRead(t, shared(t, deep(201)), Options{Limits: Limits{Depth: 201}})
}

func TestNameLongerThanTheLimitIsRefused(t *testing.T) {
	value := func(n int) string { return pyDict(pyStr(strings.Repeat("n", n)), pyVector("0", 6)) }
	mustRead(t, shared(t, value(64<<10-1)), Options{})
	_, err := readBytes(shared(t, value(64<<10)), Options{})
	wantError(t, err, tensor.ErrTooLarge, "at most 65536")
}

func TestMoreTensorsThanTheLimitAreRefused(t *testing.T) {
	var list []string
	for range 11 {
		list = append(list, pyVector("0", 6))
	}
	_, err := readBytes(shared(t, pyList(list...)), Options{Limits: Limits{Tensors: 10}})
	wantError(t, err, tensor.ErrTooLarge, "more than 10 tensors", `tensor "10"`)
}

func TestDangerousGlobalsRefuseBeforeAnythingIsBuilt(t *testing.T) {
	value := pyDict(pyStr("w"), pyVector("0", 6), pyStr("x"), pyCall("os.system", pyStr("true")))
	_, err := readBytes(shared(t, value), Options{})
	wantError(t, err, ErrDangerous, "os.system at byte", "ForceInert")
	var danger *DangerError
	if !asDanger(err, &danger) || danger.File != "file.pt" || len(danger.Globals) != 1 || danger.Globals[0].Name != "system" {
		t.Errorf("error %#v, want a DangerError of os.system", err)
	}
	m := mustRead(t, shared(t, value), Options{ForceInert: true})
	wantNames(t, m, "w")
	wantNote(t, m, "DANGEROUS names are in this file and were kept inert: os.system")
	if got := m.Meta.Text("x"); got != "" {
		t.Errorf("x = %q", got)
	}
	if got := fmt.Sprint(m.Meta.All()); !strings.Contains(got, "{x [true]}") {
		t.Errorf("metadata %s, want the argument of the inert call", got)
	}
}

func TestStrictReadingRefusesClassesWithoutABuilder(t *testing.T) {
	for _, class := range []string{"argparse.Namespace", "my.Thing"} {
		value := pyDict(pyStr("w"), pyVector("0", 6), pyStr("o"), pyNew(class))
		mustRead(t, shared(t, value), Options{})
		_, err := readBytes(shared(t, value), Options{Strict: true})
		wantError(t, err, tensor.ErrUnsupported, "strict", class)
	}
	mustRead(t, shared(t, pyDict(pyStr("w"), pyVector("0", 6))), Options{Strict: true})
}

func TestUnknownClassesAreNoted(t *testing.T) {
	m := mustRead(t, shared(t, pyDict(pyStr("w"), pyVector("0", 6), pyStr("a"), pyNew("my.Thing"), pyStr("b"), pyNew("argparse.Namespace"))), Options{})
	wantNote(t, m, "kept as data, never as code: my.Thing")
	if strings.Contains(strings.Join(m.Notes, ""), "argparse") {
		t.Errorf("notes %q name a class that is known to be harmless", m.Notes)
	}
}
