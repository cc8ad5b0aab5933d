package pickle

import (
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		module, name string
		want         GlobalKind
	}{
		{"torch._utils", "_rebuild_tensor_v2", Builder},
		{"collections", "OrderedDict", Builder},
		{"__builtin__", "set", Builder},
		{"numpy._core.multiarray", "_reconstruct", Builder},
		{"torch", "bfloat16", Builder},
		{"argparse", "Namespace", Harmless},
		{"pathlib", "PosixPath", Harmless},
		{"torch.nn.modules.linear", "Linear", Harmless},
		{"__torch__.torch.nn.modules.conv", "Conv1d", Harmless},
		{"__main__", "Net", Harmless},
		{"torch.utils.data.dataset", "TensorDataset", Harmless},
		{"mycompany.models", "Net", Unknown},
		{"functools", "partial", Unknown},
		{"builtins", "type", Unknown},
		{"torch.nn.modules", "linear.Linear", Unknown},
		{"osmium", "system", Unknown},
		{"os", "system", Dangerous},
		{"os.path", "join", Dangerous},
		{"posix", "system", Dangerous},
		{"__builtin__", "eval", Dangerous},
		{"cPickle", "loads", Dangerous},
		{"types", "CodeType", Dangerous},
		{"pathlib", "os.system", Dangerous},
		{"torch", "serialization.os.system", Dangerous},
		{"torch", "serialization.load", Dangerous},
		{"torch.utils.data.datapipes.utils.decoder", "basichandlers", Dangerous},
		{"__main__", "__builtins__.eval", Dangerous},
		{"OS", "system", Dangerous},
		{"os\r", "system", Dangerous},
		{"ｏｓ", "system", Dangerous},
		{"o\u200bs", "system", Dangerous},
	} {
		if got, why := classify(c.module, c.name); got != c.want {
			t.Errorf("classify(%q, %q) = %s (%s), want %s", c.module, c.name, got, why, c.want)
		}
	}
}

func TestWhatAPickleDoesChangesTheKind(t *testing.T) {
	for _, c := range []struct {
		name         string
		module, attr string
		use          use
		want         GlobalKind
	}{
		{"a known class is built", "torch.nn.modules.linear", "Linear", built, Harmless},
		{"a known class is called", "transformers.trainer_utils", "IntervalStrategy", called, Harmless},
		{"a function of a known package is referenced", "torch.nn.functional", "relu", 0, Harmless},
		{"a function of a known package is called", "torch.nn.functional", "relu", called, Unknown},
		{"a function that is known itself is called", "logging", "getLogger", called, Harmless},
		{"a known class is changed", "torch.nn.modules.linear", "Linear", changed, Dangerous},
		{"a builder is changed", "collections", "OrderedDict", changed, Dangerous},
		{"an unknown class is built", "mycompany", "Net", built | stated, Unknown},
	} {
		kind, why := classify(c.module, c.attr)
		if got, _ := weigh(Global{Module: c.module, Name: c.attr, Kind: kind, Why: why}, c.use); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestNoBuilderIsDangerous(t *testing.T) {
	for full := range builders {
		i := strings.LastIndexByte(full, '.')
		if r, whole := find(full[:i], full[i+1:]); r != nil && r.kind == Dangerous && !whole {
			t.Errorf("%s has a builder and is dangerous: %s", full, r.why)
		}
		if kind, why := classify(full[:i], full[i+1:]); kind != Builder {
			t.Errorf("classify of %s = %s (%s), want %s", full, kind, why, Builder)
		}
	}
}

func TestEveryRuleIsReached(t *testing.T) {
	for i := range rules {
		for _, name := range strings.Fields(rules[i].names) {
			if r := ruleOf[name]; r != &rules[i] {
				t.Errorf("%s has two rules: %q and %q", name, rules[i].why, r.why)
			}
			if strings.Count(name, "*") > 1 || strings.Contains(name, "*") && !strings.HasSuffix(name, ".*") || !strings.Contains(name, ".") {
				t.Errorf("%q is neither a global nor a module", name)
			}
		}
	}
}
