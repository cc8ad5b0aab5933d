package hostile

import (
	"strings"
)

// imports are pickles that name harmful functions, plainly or in disguise. Each
// also holds the ordinary tensor.
func imports() []Case {
	cases := []Case{
		danger("global", "GLOBAL os.system, REDUCE", runs),
		danger("stack_global", "STACK_GLOBAL os.system", reduce(stackGlobal("os", "system"), str("echo"))),
		danger("stack_global_memo", "operands of STACK_GLOBAL fetched from the memo, with padding between them", short("system")+"\x94"+short("os")+"\x94"+"00"+"h\x01"+"N0"+"h\x00"+"]0"+"\x93"+tuple(str("echo"))+"R"),
		danger("stack_global_py2_strings", "operands of STACK_GLOBAL as Python 2 strings", "U\x02osU\x06system\x93"+tuple(str("echo"))+"R"),
		danger("stack_global_escaped", "operands of STACK_GLOBAL hidden in escapes", "S'\\x6fs'\nV\\u0073ystem\n\x93"+tuple(str("echo"))+"R"),
		danger("stack_global_dup", "operands of STACK_GLOBAL from DUP", short("os")+"20"+short("system")+"20\x93"+tuple(str("echo"))+"R"),
		danger("operand_not_a_string", "operands of STACK_GLOBAL that are no strings", num(1)+num(2)+"\x93"),
		danger("operand_computed", "the name that STACK_GLOBAL imports is the result of a call", short("os")+reduce(global("builtins", "str"), str("system"))+"\x93"+tuple(str("echo"))+"R"),
		danger("operand_joined", "the name is joined from pieces", short("os")+reduce(reduce(global("operator", "methodcaller"), str("join"), list(str("sys"), str("tem"))), str(""))+"\x93)R"),
		danger("dotted_name", "an attribute of a harmless module that is another module: pathlib \"os.system\"", reduce(stackGlobal("pathlib", "os.system"), str("echo"))),
		danger("dotted_through_torch", "torch \"serialization.os.system\"", reduce(global("torch", "serialization.os.system"), str("echo"))),
		danger("dotted_through_builder", "a name that only looks like a builder: torch._utils \"_rebuild_tensor_v2.__globals__\"", reduce(global("operator", "itemgetter"), str("os"))+tuple(global("torch._utils", "_rebuild_tensor_v2.__globals__"))+"R"),
		danger("inst", "INST os.system", "("+str("echo")+"ios\nsystem\n"),
		danger("obj", "OBJ os.system", "("+global("os", "system")+str("echo")+"o"),
		danger("obj_popped", "a call whose result is thrown away", "("+global("os", "system")+str("echo")+"o0N"),
		danger("newobj", "NEWOBJ of subprocess.Popen", global("subprocess", "Popen")+tuple(str("echo"))+"\x81"),
		danger("newobj_ex", "NEWOBJ_EX of subprocess.Popen", global("subprocess", "Popen")+tuple(str("echo"))+"}\x92"),
		danger("reduce_popped", "REDUCE and POP", runs+"0N"),
		danger("reduce_under_mark", "REDUCE above a mark that is thrown away", "("+runs+"1N"),
		danger("build_function", "BUILD plants an attribute in a function: numpy.size", global("numpy.core.fromnumeric", "size")+dict(str("shape"), global("builtins", "eval"))+"b"),
		danger("build_class", "BUILD changes a class of the program", global("torch.nn.modules.module", "Module")+dict(str("__call__"), num(1))+"b"),
		danger("setitem_sys_modules", "SETITEM replaces a module", global("sys", "modules")+str("os")+"N"+"s"),
		danger("append_sys_path", "APPEND to the module search path", global("sys", "path")+str("/tmp")+"a"),
		danger("setitem_on_class", "SETITEM on a class that has a builder", ordered[:len(ordered)-2]+str("k")+"Ns"),
		danger("call_of_result", "calls what another call returned", reduce(reduce(global("__main__", "Factory")), str("echo"))),
		danger("ext1", "an object of the extension registry, whatever that is", "\x82\x01)R"),
		danger("ext2", "EXT2", "\x83\x01\x02)R"),
		danger("ext4", "EXT4", "\x84\x01\x02\x03\x04)R"),
		danger("py2_builtin", "__builtin__.eval, Python 2's name", reduce(global("__builtin__", "eval"), str("1"))),
		danger("py2_commands", "commands.getoutput of Python 2", reduce(global("commands", "getoutput"), str("echo"))),
		danger("submodule", "a module below a harmful one", reduce(global("subprocess.deep.below", "anything"), str("echo"))),
		danger("upper_case", "OS.System", reduce(global("OS", "System"), str("echo"))),
		danger("full_width", "ｏｓ.ｓｙｓｔｅｍ in full-width letters", reduce(stackGlobal("ｏｓ", "ｓｙｓｔｅｍ"), str("echo"))),
		danger("carriage_return", "a carriage return behind the name", reduce("cos\r\nsystem\r\n", str("echo"))),
		danger("zero_width", "a zero-width space in the name", reduce(stackGlobal("o\u200bs", "system"), str("echo"))),
		danger("newline_in_name", "a newline in the name, so that two readers split it differently", reduce(stackGlobal("os\n", "system"), str("echo"))),
		{Name: "memo_missing.pt", What: "an operand of STACK_GLOBAL from a memo entry that was never stored", Make: pt(beside(short("os") + "h\x63\x93" + tuple(str("echo")) + "R")), Scan: "unreadable", Read: Refused},
		{Name: "persistent_module.pt", What: "a persistent id that names a class of which PyTorch would load the source", Make: pt(beside(tuple(str("module"), global("os", "system"), str("f.py"), str("source")) + "Q" + tuple(str("echo")) + "R")), Scan: "dangerous", Read: Danger},
		{Name: "persistent_text.pt", What: "a text persistent id in a zip archive", Make: pt(beside("Pstorage\n")), Scan: "safe", Read: Refused},
		{Name: "persistent_other.pt", What: "a persistent id of an unknown kind", Make: pt(beside(tuple(str("file"), str("/etc/passwd")) + "Q")), Scan: "safe", Read: Refused},
		{Name: "unknown_class.pt", What: "a class that nobody knows: inert, and reported", Make: pt(beside(reduce(global("mycompany.models", "Config"), num(1)))), Scan: "unknown", Read: Right, Tensors: ordinaryTensor},
		{Name: "function_of_a_known_package.pt", What: "a function, not a class, of a package whose classes are harmless", Make: pt(beside(reduce(global("ultralytics.nn.tasks", "attempt_load_weights"), str("http://example.com/x.pt")))), Scan: "unknown", Read: Right, Tensors: ordinaryTensor},
		{Name: "harmless_class.pt", What: "a namespace: inert, and safe", Make: pt(beside(global("argparse", "Namespace") + ")\x81" + dict(str("lr"), num(1)) + "b")), Scan: "safe", Read: Right, Tensors: ordinaryTensor},
	}
	for _, name := range harmful {
		i := strings.IndexByte(name, ' ')
		module, attr := name[:i], name[i+1:]
		cases = append(cases, danger("import_"+strings.ReplaceAll(module, ".", "_")+"_"+strings.ReplaceAll(attr, ".", "_"), "imports "+module+"."+attr, reduce(global(module, attr), str("x"))))
	}
	return cases
}

// ordinaryTensor is what every case has beside its attack.
var ordinaryTensor = map[string][]float32{"w": fourValues}

// danger is a checkpoint with a harmful value beside the ordinary tensor.
func danger(name, what, value string) Case {
	return Case{Name: name + ".pt", What: what, Make: pt(beside(value)), Scan: "dangerous", Read: Danger}
}

// pt makes a checkpoint of a pickle.
func pt(pickle string) func() []byte { return func() []byte { return torch(pickle) } }

// harmful are functions of the standard library and of common packages that
// advisories on pickle scanners name (picklescan, fickling and modelscan), each
// a way around a list that lacked it.
var harmful = strings.Split(strings.TrimSpace(`
posix system
nt system
os popen
os spawnv_passfds
subprocess run
subprocess check_output
builtins eval
builtins exec
builtins __import__
builtins getattr
builtins open
builtins compile
builtins breakpoint
pty spawn
runpy _run_code
runpy run_path
timeit main
cProfile run
profile Profile.run
pdb run
bdb Bdb.run
trace Trace.run
doctest debug_script
code InteractiveInterpreter.runcode
code interact
ensurepip _run_pip
pip main
venv create
pydoc pipepager
pydoc locate
test.support.script_helper assert_python_ok
idlelib.pyshell ModifiedInterpreter.runcode
idlelib.autocomplete AutoComplete.get_entity
idlelib.calltip get_entity
idlelib.debugobj ObjectTreeItem.SetText
idlelib.run Executive.runcode
lib2to3.pgen2.grammar Grammar.loads
lib2to3.pgen2.pgen ParserGenerator.make_label
distutils.file_util write_file
imaplib IMAP4_stream
uuid _get_command_stdout
_osx_support _read_output
_aix_support _read_cmd_output
_pyrepl.pager pipe_pager
webbrowser open
socket create_connection
ssl get_server_certificate
urllib.request urlopen
requests.api get
aiohttp request
httplib HTTPSConnection
http.client HTTPSConnection
smtplib SMTP
asyncio.unix_events _UnixSubprocessTransport._start
ctypes CDLL
ctypes.util find_library
numpy.f2py.crackfortran getlincoef
numpy.testing._private.utils runstring
numpy load
pandas read_csv
pandas eval
mlflow.projects.backend.local _run_entry_point
torch.utils.collect_env run
torch.utils.bottleneck.__main__ run_cprofile
torch.utils._config_module ConfigModule.load_config
torch.utils.data.datapipes.utils.decoder basichandlers
torch._dynamo.guards GuardBuilder.get
torch._inductor.codecache compile_file
torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression
torch.jit.unsupported_tensor_ops execWrapper
torch.hub load
torch load
torch.serialization load
operator attrgetter
_operator methodcaller
functools reduce
types CodeType
types FunctionType
marshal loads
cloudpickle.cloudpickle _make_function
dill loads
joblib load
shelve open
importlib import_module
pkgutil resolve_name
sys exit
shutil rmtree
tempfile mktemp
logging FileHandler
_io FileIO
io open
multiprocessing.util spawnv_passfds
threading Thread
signal signal
sqlite3 connect
gc get_objects
inspect getattr_static
linecache getlines
codecs open
zipfile ZipFile
site addpackage
copyreg add_extension
`), "\n")
