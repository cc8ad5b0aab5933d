package pickle

import (
	"strings"
	"unicode"
)

// A GlobalKind says what a global means for a reader of the file.
type GlobalKind string

const (
	// Builder: this package knows what the global makes and builds it.
	Builder GlobalKind = "builder"
	// Harmless: a class that checkpoints ordinarily contain; kept as an inert object.
	Harmless GlobalKind = "harmless"
	// Unknown: not known to be harmful; kept as an inert object.
	Unknown GlobalKind = "unknown"
	// Dangerous: importing or calling it in Python can run programs, reach files
	// or the network, or lead to an object that can.
	Dangerous GlobalKind = "dangerous"
	// Dynamic: which object it is is computed while the pickle runs.
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
// fits decides. The dangerous ones are the standard library's and the
// ecosystem's ways to run, load, reach or reflect; the harmless ones are what
// checkpoints of common training frameworks refer to.
var rules = []rule{
	{Dangerous, "runs programs", `
		os.* posix.* nt.* subprocess.* _posixsubprocess.* _winapi.* pty.* commands.* popen2.* webbrowser.* antigravity.*
		pexpect.* sh.* plumbum.* fabric.* invoke.* paramiko.* platform.popen uuid.* _osx_support.* _aix_support.* _pyrepl.*
		imaplib.* torch.utils.collect_env.* torch._inductor.* mlflow.* distutils.* setuptools.* pkg_resources.* ensurepip.*
		pip.* venv.* test.* multiprocessing.* torch.multiprocessing.* concurrent.* torch.distributed.rpc.* torch.utils.cpp_extension.*
		numpy.distutils.* numpy.testing.* torch.distributed.run.* torch.distributed.launch.* torch.distributed.elastic.* nturl2path.*`},
	{Dangerous, "runs Python code that it is given", `
		builtins.eval builtins.exec builtins.execfile builtins.compile builtins.__import__ builtins.apply builtins.breakpoint
		code.* codeop.* runpy.* timeit.* cProfile.* profile.* pstats.* trace.* bdb.* pdb.* doctest.* pydoc.* idlelib.* lib2to3.*
		importlib.* imp.* pkgutil.* zipimport.* zipapp.* py_compile.* compileall.* site.* rlcompleter.* cgi.* cgitb.* unittest.*
		tkinter.* turtle.* turtledemo.* sqlite3.* IPython.* ptpython.* numpy.f2py.* pandas.eval pandas.core.computation.*
		numexpr.* sympy.* torch.utils.bottleneck.* torch._dynamo.* torch.fx.* torch.jit.* torch.package.* torch.hub.* torch.ops.* torch._ops.*
		torch.classes.* torch.testing.* torch.utils.* torch.onnx.* torch._C.* torch._numpy.* torch.sparse.semi_structured.*
		transformers.utils.* transformers.dynamic_module_utils.* huggingface_hub.* ultralytics.utils.checks.* ultralytics.utils.downloads.*
		pytest.* _pytest.* nose.* dataclasses.make_dataclass collections.namedtuple enum.Enum._convert_ typing.get_type_hints
		ast.* symtable.* string.Formatter string.Template jinja2.* mako.* yaml.* ruamel.* hydra.* omegaconf.resolvers.* fire.* click.*`},
	{Dangerous, "loads another pickle or module", `
		pickle.* _pickle.* pickletools.* dill.* cloudpickle.* joblib.* shelve.* marshal.* jsonpickle.* klepto.* pandas.read_pickle
		pandas.io.* pandas.compat.* torch.load torch.serialization.load torch.serialization._load torch.serialization._legacy_load
		torch.jit.load numpy.load numpy.lib.* numpy.core.records.* numpy.core.memmap.* numpy.memmap numpy.fromfile numpy.loadtxt numpy.genfromtxt
		numpy.ctypeslib.* scipy.io.* sklearn.externals.* torch.utils.data.datapipes.* torch.utils._config_module.*
		copyreg.__reduce_ex__ copyreg.add_extension copyreg.remove_extension copyreg.pickle`},
	{Dangerous, "reaches memory or calls native code", `
		ctypes.* _ctypes.* cffi.* _cffi_backend.* mmap.* gc.* faulthandler.* resource.* _testcapi.* _xxsubinterpreters.* _interpreters.* cupy.RawKernel numba.* llvmlite.* pycuda.* triton.*`},
	{Dangerous, "reaches the network", `
		socket.* _socket.* ssl.* _ssl.* http.* httplib.* urllib.* urllib2.* urllib3.* requests.* aiohttp.* httpx.* ftplib.* smtplib.* smtpd.*
		poplib.* nntplib.* telnetlib.* xmlrpc.* xmlrpclib.* socketserver.* SocketServer.* asyncore.* asynchat.* asyncio.* _asyncio.* select.* selectors.*
		wsgiref.* BaseHTTPServer.* SimpleHTTPServer.* cookielib.* boto3.* botocore.* fsspec.* s3fs.* gcsfs.* websocket.* websockets.* dns.* tornado.* twisted.*`},
	{Dangerous, "reads or writes files", `
		builtins.open builtins.file builtins.input builtins.raw_input io.* _io.* _pyio.* codecs.open codecs.* shutil.* tempfile.* fileinput.* linecache.* glob.*
		pathlib.Path zipfile.* tarfile.* gzip.* bz2.* lzma.* logging.* dbm.* dumbdbm.* mailbox.* netrc.* configparser.* csv.* torch.save numpy.save numpy.savetxt
		numpy.savez numpy.ndarray.tofile pandas.read_csv pandas.read_table pandas.read_json pandas.read_html pandas.read_xml pandas.read_sql filecmp.* fcntl.* msvcrt.* winreg.* _winreg.* syslog.* termios.* tty.*
		sysconfig.* getpass.* readline.* curses.* crypt.* pwd.* grp.* spwd.* nis.*`},
	{Dangerous, "finds or makes arbitrary objects, so that harmless names add up to harmful ones", `
		builtins.getattr builtins.setattr builtins.delattr builtins.hasattr builtins.globals builtins.locals builtins.vars builtins.dir builtins.type
		builtins.map builtins.filter builtins.reduce builtins.iter builtins.next builtins.memoryview builtins.super builtins.property builtins.__build_class__ builtins.classmethod builtins.staticmethod
		builtins.print builtins.exit builtins.quit builtins.help builtins.callable builtins.id builtins.sorted builtins.any builtins.all builtins.sum builtins.min builtins.max builtins.zip builtins.enumerate
		operator.* _operator.* functools.* _functools.* itertools.* inspect.* types.* new.* sys.* weakref.* _weakref.* contextlib.* atexit.* signal.* _signal.* threading.* _thread.* thread.* sched.* queue.*
		abc.* _abc.* warnings.* traceback.* tracemalloc.* dis.* opcode.* symbol.* token.* tokenize.* contextvars.* __main__.__builtins__ bisect.* heapq.* wrapt.* decorator.* toolz.* cytoolz.* six.* future.* attr._make.* torch._utils_internal.* torch._jit_internal.* torch._namedtensor_internals.* torch.overrides.*
		numpy.vectorize numpy.frompyfunc numpy.apply_along_axis numpy.apply_over_axes numpy.piecewise numpy.fromfunction numpy.core.fromnumeric.* numpy.size numpy.ndarray.dump numpy.ndarray.setfield`},

	{Harmless, "a value of the standard library", `
		pathlib.PosixPath pathlib.WindowsPath pathlib.PurePosixPath pathlib.PureWindowsPath pathlib.PurePath pathlib._local.PosixPath pathlib._local.WindowsPath
		argparse.Namespace types.SimpleNamespace datetime.datetime datetime.date datetime.time datetime.timedelta datetime.timezone datetime.tzinfo
		uuid.UUID uuid.SafeUUID decimal.Decimal fractions.Fraction array._array_reconstructor array.array random.Random collections.UserDict.UserDict
		collections.deque collections.ChainMap builtins.NotImplemented builtins.Ellipsis builtins.NoneType types.NoneType zoneinfo.ZoneInfo._unpickle zoneinfo.ZoneInfo
		copyreg.__newobj__ copyreg.__newobj_ex__ copyreg._reconstructor logging.Logger logging.getLogger string.ascii_letters`},
	{Harmless, "a PyTorch class", `
		torch.nn.* torch.optim.* torch.Generator torch.dtype torch.layout torch.memory_format torch.finfo torch.iinfo torch.Module torch._C.Generator torch._C._TensorMeta
		torch.amp.grad_scaler.GradScaler torch.cuda.amp.grad_scaler.GradScaler torch.distributions.* torch.ao.quantization.* torch.ao.nn.* torch.quantization.*
		torch.distributed.checkpoint.* torch.distributed._shard.* torch.distributed._tensor.* torch.distributed.tensor.* torch.distributed.device_mesh.DeviceMesh torch.distributed.fsdp.*
		torch._utils._rebuild_wrapper_subclass torch.storage.TypedStorage torch.storage._TypedStorage torch.autograd.* torch.utils.data.dataset.TensorDataset torch.utils.data.dataset.Subset torch.utils.data.dataloader.DataLoader
		torchvision.models.* torchvision.ops.* torchvision.transforms.* torchaudio.models.* torchmetrics.* torch_geometric.nn.* torch_geometric.data.* torch.utils.hooks.RemovableHandle torch.utils.hooks.BackwardHook __torch__.*`},
	{Harmless, "a NumPy value", `numpy.random.* numpy.float64 numpy.float32 numpy.float16 numpy.int64 numpy.int32 numpy.int16 numpy.int8 numpy.uint8 numpy.uint16 numpy.uint32 numpy.uint64 numpy.bool_ numpy.bool numpy.str_ numpy.datetime64 numpy.timedelta64 numpy.complex64 numpy.complex128 numpy.ma.core._mareconstruct numpy.ma.core.MaskedArray numpy.matrix numpy.matrixlib.defmatrix.matrix`},
	{Harmless, "a class of a training framework", `
		omegaconf.* pytorch_lightning.* lightning.* lightning_fabric.* lightning_utilities.* transformers.* tokenizers.* ultralytics.nn.* ultralytics.utils.IterableSimpleNamespace ultralytics.utils.loss.* ultralytics.yolo.* ultralytics.engine.*
		models.yolo.* models.common.* models.experimental.* timm.* fairseq.* fairseq2.* apex.* megatron.* deepspeed.* accelerate.* peft.* diffusers.* sentence_transformers.* speechbrain.* nemo.* espnet.* espnet2.* mmengine.* mmcv.* mmdet.* detectron2.* monai.* open_clip.* clip.* whisper.*
		sklearn.preprocessing.* ema_pytorch.* easydict.EasyDict addict.addict.Dict yacs.config.CfgNode ml_collections.config_dict.config_dict.ConfigDict wandb.sdk.wandb_config.Config segmentation_models_pytorch.* efficientnet_pytorch.* pytorch3d.* gpytorch.* botorch.* stable_baselines3.* gym.spaces.* gymnasium.spaces.*`},
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
		for _, m := range []string{p, module + "." + strings.Join(parts[:i+1], ".")} {
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
