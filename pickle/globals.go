package pickle

import (
	"strings"
	"unicode"
)

// A GlobalKind says what a global means for a reader of the file.
type GlobalKind string

const (
	// Builder says that this package knows what the global makes and builds it.
	Builder GlobalKind = "builder"
	// Harmless is a class that checkpoints ordinarily contain; kept as an inert object.
	Harmless GlobalKind = "harmless"
	// Unknown is what is not known to be harmful; kept as an inert object.
	Unknown GlobalKind = "unknown"
	// Dangerous is what can run programs, reach files or the network when Python
	// imports or calls it, or lead to an object that can.
	Dangerous GlobalKind = "dangerous"
	// Dynamic is what the pickle computes the name of while it runs.
	Dynamic GlobalKind = "dynamic"
)

// A Global is one object that a pickle imports by name.
type Global struct {
	Module string     `json:"module"`
	Name   string     `json:"name"`
	Kind   GlobalKind `json:"kind"`
	Offset int64      `json:"offset"` // of its first appearance, in the member
	Opcode string     `json:"opcode"` // of its first appearance
	Use    string     `json:"use"`    // "called", "built", "state set", "changed", or "referenced" if none of these
	Count  int        `json:"count"`  // appearances
	Why    string     `json:"why,omitempty"`
	Member string     `json:"member,omitempty"` // of the archive, if the file is one
	In     string     `json:"in,omitempty"`     // the byte string that holds the pickle, if it is inside one
}

// importable reports whether both names are in the pickle and could be those of
// a Python object.
func (g *Global) importable() bool {
	for _, part := range strings.Split(g.Module+"."+g.Name, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool {
			return r != '_' && r != '<' && r != '>' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			return false
		}
	}
	return true
}

// A rule gives a kind to globals. A name is "module.name" for one global,
// "module.*" for a module and all modules below it.
type rule struct {
	kind  GlobalKind
	why   string
	names string // separated by blanks
}

// rules is the one table of kinds, besides the builders. The longest name that
// fits decides. The dangerous ones are the ways of the standard library and of
// common packages to run, load, reach or reflect; the harmless ones are what
// checkpoints of common training frameworks refer to. What may be either, such
// as functools.partial, is left unknown: whatever it is applied to is listed.
var rules = []rule{
	{Dangerous, "runs programs", `
		os.* posix.* nt.* subprocess.* _posixsubprocess.* _winapi.* pty.* commands.* popen2.* webbrowser.* antigravity.* platform.*
		uuid.* imaplib.* _osx_support.* _aix_support.* _pyrepl.* distutils.* setuptools.* pkg_resources.* ensurepip.* pip.* venv.* test.*
		multiprocessing.* concurrent.* pexpect.* sh.* plumbum.* fabric.* invoke.* paramiko.* mlflow.projects.*
		numpy.distutils.* torch.multiprocessing.* torch._inductor.* torch.utils.collect_env.* torch.utils.cpp_extension.* torch.utils.hipify.*
		torch.distributed.rpc.* torch.distributed.run.* torch.distributed.launch.* torch.distributed.elastic.*`},
	{Dangerous, "runs Python code that it is given", `
		builtins.eval builtins.exec builtins.execfile builtins.compile builtins.__import__ builtins.apply builtins.breakpoint builtins.__build_class__
		code.* codeop.* runpy.* timeit.* cProfile.* profile.* pstats.* trace.* bdb.* pdb.* doctest.* pydoc.* idlelib.* lib2to3.* rlcompleter.*
		importlib.* imp.* pkgutil.* zipimport.* zipapp.* py_compile.* compileall.* site.* cgi.* cgitb.* unittest.* pytest.* _pytest.* nose.*
		tkinter.* turtle.* turtledemo.* sqlite3.* IPython.* ptpython.* ast.* dataclasses.make_dataclass enum.Enum._convert_ typing.get_type_hints
		numpy.f2py.* numpy.testing.* pandas.eval pandas.core.computation.* numexpr.* sympy.sympify sympy.parsing.* jinja2.* mako.* yaml.* ruamel.*
		torch.utils.bottleneck.* torch.utils.benchmark.* torch._dynamo.* torch.fx.* torch.jit.* torch.package.* torch.hub.* torch.ops.* torch._ops.* torch.testing.*
		transformers.dynamic_module_utils.* transformers.utils.hub.* transformers.utils.import_utils.* huggingface_hub.*`},
	{Dangerous, "loads another pickle or module", `
		pickle.* _pickle.* cPickle.* dill.* cloudpickle.* joblib.* shelve.* marshal.* jsonpickle.* klepto.* pandas.read_pickle pandas.io.*
		torch.load torch.serialization.load torch.serialization._load torch.serialization._legacy_load torch.utils.model_zoo.*
		torch.utils._config_module.* torch.utils.data.datapipes.* torch.utils.show_pickle.*
		numpy.load numpy.memmap numpy.fromfile numpy.loadtxt numpy.genfromtxt numpy.lib.npyio.* numpy.lib._npyio_impl.* numpy.lib.format.* numpy.lib._datasource.* numpy.ctypeslib.*
		scipy.io.* sklearn.externals.* copyreg.*`},
	{Dangerous, "reaches memory or calls native code", `
		ctypes.* _ctypes.* cffi.* _cffi_backend.* mmap.* gc.* faulthandler.* resource.* _testcapi.* _xxsubinterpreters.* _interpreters.* cupy.RawKernel cupy.RawModule llvmlite.* pycuda.*`},
	{Dangerous, "reaches the network", `
		socket.* _socket.* ssl.* _ssl.* http.* httplib.* urllib.* urllib2.* urllib3.* requests.* aiohttp.* httpx.* ftplib.* smtplib.* smtpd.*
		poplib.* nntplib.* telnetlib.* xmlrpc.* xmlrpclib.* socketserver.* SocketServer.* asyncore.* asynchat.* asyncio.* _asyncio.* select.* selectors.*
		wsgiref.* BaseHTTPServer.* SimpleHTTPServer.* cookielib.* boto3.* botocore.* s3fs.* gcsfs.* websocket.* websockets.*
		ultralytics.utils.checks.* ultralytics.utils.downloads.*`},
	{Dangerous, "reads or writes files", `
		builtins.open builtins.file builtins.input builtins.raw_input io.* _io.* _pyio.* codecs.* shutil.* tempfile.* fileinput.* linecache.* glob.*
		pathlib.Path zipfile.* tarfile.* gzip.* bz2.* lzma.* logging.* dbm.* dumbdbm.* mailbox.* netrc.* configparser.* filecmp.* fcntl.* msvcrt.* winreg.* _winreg.*
		syslog.* termios.* tty.* sysconfig.* getpass.* readline.* curses.* pwd.* grp.* spwd.* nturl2path.*
		torch.save torch.serialization.save numpy.save numpy.savetxt numpy.savez numpy.savez_compressed
		pandas.read_csv pandas.read_table pandas.read_json pandas.read_html pandas.read_xml pandas.read_sql pandas.read_excel pandas.read_parquet`},
	{Dangerous, "finds or makes arbitrary objects, so that harmless names add up to harmful ones", `
		builtins.getattr builtins.setattr builtins.delattr builtins.hasattr builtins.globals builtins.locals builtins.vars builtins.dir
		builtins.map builtins.filter builtins.reduce builtins.memoryview builtins.exit builtins.quit builtins.help builtins.super
		operator.attrgetter operator.itemgetter operator.methodcaller operator.call _operator.attrgetter _operator.itemgetter _operator.methodcaller _operator.call
		functools.reduce functools.partialmethod functools.cached_property functools.singledispatch _functools.reduce itertools.starmap
		inspect.* types.* new.* sys.* contextlib.* atexit.* signal.* _signal.* threading.* _thread.* thread.* sched.* __main__.__builtins__ __main__.__loader__
		torch._utils_internal.* torch._jit_internal.* torch.overrides.*
		numpy.vectorize numpy.frompyfunc numpy.apply_along_axis numpy.apply_over_axes numpy.piecewise numpy.fromfunction`},

	{Harmless, "a value of the standard library", `
		pathlib.PosixPath pathlib.WindowsPath pathlib.PurePosixPath pathlib.PureWindowsPath pathlib.PurePath pathlib._local.PosixPath pathlib._local.WindowsPath
		argparse.Namespace types.SimpleNamespace types.NoneType datetime.datetime datetime.date datetime.time datetime.timedelta datetime.timezone
		uuid.UUID uuid.SafeUUID decimal.Decimal fractions.Fraction array._array_reconstructor array.array random.Random itertools.count
		collections.deque collections.ChainMap builtins.NotImplemented builtins.Ellipsis builtins.NoneType zoneinfo.ZoneInfo zoneinfo.ZoneInfo._unpickle
		copyreg.__newobj__ copyreg.__newobj_ex__ copyreg._reconstructor logging.Logger logging.getLogger`},
	{Harmless, "a PyTorch class", `
		torch.nn.* torch.optim.* torch.autograd.* torch.distributions.* torch.ao.quantization.* torch.ao.nn.* torch.quantization.* torch.Generator torch.dtype torch.layout torch.memory_format
		torch.finfo torch.iinfo torch.storage.TypedStorage torch.storage._TypedStorage torch.amp.* torch.cuda.amp.* torch.utils.data.* torch.utils.hooks.* torch.utils.checkpoint.*
		torch.distributed.checkpoint.* torch.distributed._shard.* torch.distributed._tensor.* torch.distributed.tensor.* torch.distributed.device_mesh.* torch.distributed.fsdp.*
		torchvision.models.* torchvision.ops.* torchvision.transforms.* torchaudio.models.* torchmetrics.* torch_geometric.nn.* torch_geometric.data.* __torch__.*`},
	{Harmless, "a NumPy value", `
		numpy.float64 numpy.float32 numpy.float16 numpy.int64 numpy.int32 numpy.int16 numpy.int8 numpy.uint8 numpy.uint16 numpy.uint32 numpy.uint64
		numpy.bool_ numpy.bool numpy.str_ numpy.bytes_ numpy.void numpy.datetime64 numpy.timedelta64 numpy.complex64 numpy.complex128 numpy.matrix
		numpy.ma.core._mareconstruct numpy.ma.core.MaskedArray numpy.matrixlib.defmatrix.matrix numpy.core.records.recarray numpy.rec.recarray
		numpy.random._pickle.__randomstate_ctor numpy.random._pickle.__generator_ctor numpy.random._pickle.__bit_generator_ctor
		numpy.random._mt19937.MT19937 numpy.random._pcg64.PCG64 numpy.random.bit_generator.SeedSequence`},
	{Harmless, "a class of a training framework", `
		omegaconf.* pytorch_lightning.* lightning.* lightning_fabric.* lightning_utilities.* transformers.* tokenizers.* ultralytics.nn.* ultralytics.engine.* ultralytics.yolo.*
		ultralytics.utils.IterableSimpleNamespace ultralytics.utils.loss.* models.yolo.* models.common.* models.experimental.* timm.* fairseq.* fairseq2.* apex.* megatron.*
		deepspeed.* accelerate.* peft.* diffusers.* sentence_transformers.* speechbrain.* nemo.* espnet.* espnet2.* mmengine.* mmcv.* mmdet.* detectron2.* monai.* open_clip.* clip.* whisper.*
		sklearn.preprocessing.* easydict.EasyDict addict.addict.Dict yacs.config.CfgNode ml_collections.config_dict.config_dict.ConfigDict segmentation_models_pytorch.* efficientnet_pytorch.*`},
	{Harmless, "a class of the program that wrote the file", `__main__.*`},
}

// ruleOf finds a rule by "module.name" or "module.*".
var ruleOf = func() map[string]*rule {
	m := make(map[string]*rule)
	for i := range rules {
		for _, name := range strings.Fields(rules[i].names) {
			m[name] = &rules[i]
		}
	}
	return m
}()

// find returns the rule for a global, and whether it is for the whole module.
func find(module, name string) (r *rule, whole bool) {
	if r := ruleOf[module+"."+name]; r != nil {
		return r, false
	}
	for m := module; m != ""; m = parent(m) {
		if r := ruleOf[m+".*"]; r != nil {
			return r, true
		}
	}
	return nil, false
}

func parent(module string) string { return module[:max(0, strings.LastIndexByte(module, '.'))] }

// classify returns what a global means, judged by its name alone, and why.
func classify(module, name string) (GlobalKind, string) {
	full := canonicalName(module, name)
	mod := strings.TrimSuffix(full, "."+name)
	if _, ok := builders[full]; ok && !strings.Contains(name, ".") {
		return Builder, ""
	}
	if part, ok := reaches(mod, name); ok {
		return Dangerous, "reaches " + part + " through another object"
	}
	r, _ := find(mod, name)
	if r != nil && (r.kind == Dangerous || !strings.Contains(name, ".")) {
		return r.kind, r.why
	}
	if like := plain(mod, name); like != full {
		if r := ruleOf[like]; r != nil && r.kind == Dangerous {
			return Dangerous, "is written to look like " + like
		}
		if r, _ := find(parent(like), like[strings.LastIndexByte(like, '.')+1:]); r != nil && r.kind == Dangerous {
			return Dangerous, "is written to look like " + like
		}
	}
	return Unknown, ""
}

// reaches finds a dangerous module among the attributes that a dotted name
// walks through, as in pathlib "os.system".
func reaches(module, name string) (string, bool) {
	parts := strings.Split(name, ".")
	for i, p := range parts[:len(parts)-1] {
		through := module + "." + strings.Join(parts[:i+1], ".")
		if r := ruleOf[through]; r != nil && r.kind == Dangerous {
			return through, true
		}
		for _, m := range []string{p, through} {
			if r, _ := find(m, parts[i+1]); r != nil && r.kind == Dangerous {
				return m + "." + parts[i+1], true
			}
		}
	}
	return "", false
}

// plain is a global's name as a person would read it: without blanks and
// control characters, full-width forms narrowed, in the case of Python's modules.
func plain(module, name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0xff01 && r <= 0xff5e:
			r -= 0xfee0
		case unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return unicode.ToLower(r)
	}, module+"."+name)
}

// weigh adjusts the kind of a global to what the pickle does with it.
func weigh(g Global, u use) (GlobalKind, string) {
	if u&changed != 0 && g.Kind != Dynamic {
		return Dangerous, "the pickle changes this class or module itself, for the whole program"
	}
	if g.Kind != Harmless || u&called == 0 {
		return g.Kind, g.Why
	}
	if _, whole := find(strings.TrimSuffix(canonicalName(g.Module, g.Name), "."+g.Name), g.Name); whole && !isClassName(g.Name) {
		return Unknown, "a function is called; of its module only classes are known"
	}
	return g.Kind, g.Why
}

// isClassName follows Python's convention: classes start with a capital letter.
func isClassName(name string) bool {
	name = strings.TrimLeft(name, "_")
	return name != "" && unicode.IsUpper(rune(name[0]))
}

// A trait is what the audit has to know about calling a global.
type trait uint8

const (
	copies  trait = 1 << iota // makes a copy of its argument's items
	encodes                   // turns text into bytes
	loads                     // unpickles the bytes that it is given
)

// traits is the one table of traits, by canonical name.
var traits = map[string]trait{
	"builtins.list": copies, "builtins.tuple": copies, "builtins.set": copies, "builtins.frozenset": copies,
	"builtins.dict": copies, "builtins.bytes": copies, "builtins.bytearray": copies,
	"collections.OrderedDict": copies, "collections.Counter": copies, "collections.deque": copies, "collections.defaultdict": copies,
	"torch.Size": copies,

	"_codecs.encode": encodes,

	"torch.storage._load_from_bytes": loads, "pickle.loads": loads, "_pickle.loads": loads, "cPickle.loads": loads,
	"dill.loads": loads, "dill._dill.loads": loads, "cloudpickle.loads": loads, "torch.load": loads, "torch.serialization.load": loads,
	"torch.utils._config_module.ConfigModule.load_config": loads, "torch.utils.data.datapipes.utils.decoder.basichandlers": loads,
}

func traitOf(module, name string) trait { return traits[canonicalName(module, name)] }
